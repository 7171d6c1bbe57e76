"""What can go wrong in a verb, told in one line.

TrainingError
├── MissingInputError   a file that an earlier verb writes, or the data, is not there
├── DataError           a data set, or what a folder holds, is not what the verb needs
├── ExportError         the exported module does not give the bits of the eager one
├── PublishError        the version exists, or may not be published as it is
└── RecipeError         a recipe breaks its schema
"""


class TrainingError(Exception):
    """A verb that cannot be carried out. The text names the file and what to do."""


class MissingInputError(TrainingError):
    """A file that an earlier verb writes, or the data, is missing."""


class DataError(TrainingError):
    """A data set, or the content of the work folder, is not what the verb needs."""


class ExportError(TrainingError):
    """The exported module does not give the bits of the eager one."""


class PublishError(TrainingError):
    """The version exists already, or may not be published as it is."""


class RecipeError(TrainingError):
    """A recipe breaks its schema, or an override names no key."""
