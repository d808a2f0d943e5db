"""The version of both programs: the package's metadata are made from it (`tool.hatch.version` in pyproject.toml).

Not the other way round: `importlib.metadata` costs 40 ms of every start, since it loads the parser of mail.
"""

VERSION = "0.1.0"
