"""`python -m ai_investment`."""

from ai_investment.cli import main

main()
