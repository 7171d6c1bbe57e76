"""The keywords of JSON schemas: what is served, what is not, and what is misspelled."""

from __future__ import annotations

from difflib import get_close_matches

from lstmserve_server.engine.constraints.messages import RefusedFormError

NEAR = 0.85  # of how much of two names is alike
MAX_NAME = 64  # characters of it that an error tells
SERVED = frozenset(
    """
    $ref additionalItems additionalProperties allOf anyOf const enum exclusiveMaximum
    exclusiveMinimum format items maxItems maxLength maxProperties maximum minItems minLength
    minProperties minimum multipleOf oneOf pattern patternProperties prefixItems properties
    required type
    """.split()  # noqa: SIM905 - a list of them would be a page long
)
# which the library refuses by itself, unless the schema names a draft that did not have them yet;
# and those of old drafts, which it would take for notes
NOT_SERVED = frozenset(
    """
    disallow divisibleBy extends
    $dynamicAnchor $dynamicRef $recursiveAnchor $recursiveRef contains dependencies
    dependentRequired dependentSchemas else if maxContains minContains not propertyNames then
    unevaluatedItems unevaluatedProperties uniqueItems
    """.split()  # noqa: SIM905 - a list of them would be a page long
)
DEFINITIONS = frozenset({"$defs", "definitions"})
NOTES = ("x-", "_")  # begin names that people and tools give to their own notes
KNOWN = {name.lower(): name for name in sorted(SERVED)}
# under which stand a schema, several, or several by name
OF_SCHEMAS = frozenset(
    {"additionalItems", "additionalProperties", "allOf", "anyOf", "items", "oneOf", "prefixItems"}
)
OF_NAMED_SCHEMAS = frozenset({"patternProperties", "properties"})


def check_keyword(name: str) -> None:
    """Raise RefusedFormError for one that is not served, or a known one that is misspelled.

    Other unknown ones are somebody's notes: JSON Schema takes them for annotations.
    """
    if name in NOT_SERVED:
        raise RefusedFormError(f'has the keyword "{name}", which is not served')
    if name in SERVED or name.startswith(NOTES):
        return
    if near := get_close_matches(name[:MAX_NAME].lower(), KNOWN, n=1, cutoff=NEAR):
        raise RefusedFormError(
            f'has the keyword "{name[:MAX_NAME]}", which is unknown; is it "{KNOWN[near[0]]}"? '
            "Begin notes of your own with x-"
        )
