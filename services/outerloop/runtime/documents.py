"""Documents that people write, read strictly: what is wrong is named by file, field and reason."""

from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from outerloop.runtime.errors import UserError


class Document(BaseModel):
    """Base of what is read from a file: an unknown field is an error, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


D = TypeVar("D", bound=Document)


def parse_yaml(kind: type[D], text: str, where: str) -> D:
    """Read a YAML document of this kind.

    Raises:
        UserError: naming `where`, the field and what is wrong with it.
    """
    try:
        return kind.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{where} is not YAML: {error}") from error
    except ValidationError as error:
        raise UserError(f"{where}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with the field it is wrong in."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or "the document"
    return f"{field}: {first['msg']}"
