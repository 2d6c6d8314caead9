-- KEDA's role: it may count jobs by queue and state, and read nothing else of them. Run it once, as the owner of the
-- tables, after the first migration:  psql "$DATABASE_URL" -v password=… -f gitops/sql/scaler-role.sql
CREATE ROLE scaler LOGIN PASSWORD :'password' CONNECTION LIMIT 10;
ALTER ROLE scaler SET statement_timeout = '5s';
ALTER ROLE scaler SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA public TO scaler;
GRANT SELECT (queue, state, run_at) ON jobs TO scaler;
