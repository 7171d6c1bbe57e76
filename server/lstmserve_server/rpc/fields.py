"""Checks the fields of a request and collects everything wrong with them at once."""

from __future__ import annotations

from lstmserve_server.errors import FieldViolation, InvalidRequestError

# more help nobody, and cost time that other callers wait for
MAX_VIOLATIONS = 50


class FieldChecks:
    """Collects violations, the first fifty of them; ``finish`` raises them together."""

    def __init__(self) -> None:
        self._violations: list[FieldViolation] = []

    def refuse(self, field: str, description: str) -> None:
        if len(self._violations) < MAX_VIOLATIONS:
            self._violations.append(FieldViolation(field, description))

    def within(self, field: str, value: float, low: float, high: float) -> None:
        """Check a closed range; NaN is within none."""
        if not low <= value <= high:
            self.refuse(field, f"must be from {low:g} to {high:g}, not {_show(value)}")

    def above(self, field: str, value: float, low: float, high: float) -> None:
        """Check a range that is open below and closed above."""
        if not low < value <= high:
            self.refuse(field, f"must be above {low:g} and at most {high:g}, not {_show(value)}")

    def below(self, field: str, value: float, low: float, high: float) -> None:
        """Check a range that is closed below and open above."""
        if not low <= value < high:
            self.refuse(field, f"must be at least {low:g} and below {high:g}, not {_show(value)}")

    def finish(self) -> None:
        """Raise InvalidRequestError if anything was refused."""
        if self._violations:
            raise InvalidRequestError(self._violations)


def _show(value: float) -> str:
    number = float(value)
    if number.is_integer():
        return f"{number:.0f}"
    # single precision off the wire: six digits read well, unless they hide that it is no bound
    short = f"{number:.6g}"
    return f"{number:.9g}" if float(short).is_integer() else short
