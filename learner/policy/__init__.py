"""Rules and restrictions: what may not be asked or answered, why, and what is said instead.

The same rules guard at run time, curate what is learnt, make demonstrations of refusing, and have suites of their own.
"""

from learner.policy.policy import Breach, Policy, PolicyError, load_policy, worst
from learner.policy.rule import Action, Case, Rule, Severity, Where

__all__ = ["Action", "Breach", "Case", "Policy", "PolicyError", "Rule", "Severity", "Where", "load_policy", "worst"]
