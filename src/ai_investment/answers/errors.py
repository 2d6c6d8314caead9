"""What can go wrong with whoever writes an answer."""

from __future__ import annotations

from ai_investment.errors import Problem


class ProviderQuota(Problem):
    """The provider's account is used up or unpaid: final until an operator acts."""

    status, title = 503, "Answers are not available"


class ProviderRefused(Problem):
    """The provider does not accept our request (key, model, address or form): an operator must act."""

    status, title = 503, "Answers are not available"


class ModelRefused(Problem):
    """The model, or the provider's content filter, declined to answer."""

    status, title = 403, "The model declined to answer"


class ProviderUnavailable(Exception):
    """No answer in time, no connection, or a fault on the provider's side: worth a retry."""


class BrokenReply(Exception):
    """The reply was cut or does not have the agreed form: worth a retry."""
