"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake in a config, a data file, a cached result or a command line.

    The message is one sentence that names the file, the field, the value and what would be valid; the command line prints it
    on standard error, without a traceback, and exits with 2.
    """
