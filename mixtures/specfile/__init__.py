"""The text form of a specification: TOML that a person can write and read, and the same tables as JSON. Schema 1.

Specification, nested tables, text, and back; errors name the path, e.g. `components[1].blocks[0].covariance`.
"""

from .reading import from_dict, from_file, from_json, from_toml
from .schema import json_schema
from .writing import to_dict, to_json, to_toml

__all__ = ["from_dict", "from_file", "from_json", "from_toml", "json_schema", "to_dict", "to_json", "to_toml"]
