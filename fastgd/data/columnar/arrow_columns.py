"""What columns of Arrow tables are to kernels: which types are taken, and how the others can be."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fastgd.data.columnar.column_rows import NO_CATEGORY, Codes, Column
from fastgd.data.columns import expanded
from fastgd.kernels import ColumnKind

Part = Column | Codes | np.ndarray

_KINDS = {
    pa.bool_(): ColumnKind.BITS,
    pa.float32(): ColumnKind.FLOAT32,
    pa.float64(): ColumnKind.FLOAT64,
    **{
        getattr(pa, f"{sign}int{bits}")(): ColumnKind[f"{sign}int{bits}".upper()]
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
#: Where a field's metadata may say which value is no number.
EXAMPLE = b"fastgd.example"
#: And what to do about it.
REMEDY = b"fastgd.remedy"
#: And that nearly all others are.
NEARLY_NUMBERS = b"fastgd.nearly_numbers"
# What float32 holds exactly.
_SHORT = {pa.bool_(), pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.float16(), pa.float32()}
_INTEGER_AS_FLOAT = re.compile(r"^(-?\d+)\.0+$")


class ArrowColumn(ABC):
    """How a column of a table becomes one or several of X or y.

    width : int, how many          is_short : bool, whether float32 holds all its numbers
    ignores_unknown : bool, whether values are taken that are none of its categories, as zeros
    """

    width: int = 1
    is_short: bool = True
    ignores_unknown: bool = False

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def names(self) -> list[str]:
        """What its columns are called."""
        return [self.name]

    @abstractmethod
    def part(self, array: Any, row_name: Callable[[int], str]) -> Part:
        """The rows of an Arrow array; a ValueError for nulls and what else cannot be taken.

        row_name : what errors call one of them
        """

    def fill_nulls_with(self, number: float) -> None:
        """Take a number for nulls; a TypeError where there are no numbers."""
        raise TypeError(f"fill_nulls names column {self.name!r}, which holds no single numbers")

    def _require_no_nulls(self, array: Any, row_name: Callable[[int], str], remedy: str) -> None:
        if array.null_count:
            row = array.is_null().index(True).as_py()
            raise ValueError(f"column {self.name!r} has a null in {row_name(row)}; {remedy}")


_NULL_REMEDY = "expected a number in its place, or no such row"


class Numbers(ArrowColumn):
    """A column of numbers."""

    def __init__(self, name: str, type_: Any, is_target: bool = False, is_of_model: bool = False) -> None:
        super().__init__(name)
        self.is_short = type_ in _SHORT
        self._fill: float | None = None
        self._remedy = _NULL_REMEDY
        if is_of_model:
            self._remedy += "; a model that was trained with fill_nulls has one"
        elif not is_target:
            self._remedy += f"; fill_nulls={{{name!r}: 'mean'}} puts the column's mean there"

    def fill_nulls_with(self, number: float) -> None:
        """As `ArrowColumn.fill_nulls_with`."""
        self._fill = float(number)

    def part(self, array: Any, row_name: Callable[[int], str]) -> Part:
        """As `ArrowColumn.part`, where they lie, unless nulls are filled."""
        array = decoded(array)
        if self._fill is not None and array.null_count:
            array = array.cast(pa.float64()).fill_null(self._fill)
        self._require_no_nulls(array, row_name, self._remedy)
        if pa.types.is_decimal(array.type):
            array = array.cast(pa.float64())
        if array.type not in _KINDS:
            # Half precision, which compiled code does not know everywhere.
            return array.to_numpy(zero_copy_only=False).reshape(-1, 1)
        kind, memory = _KINDS[array.type], array.buffers()[1]
        size = max(array.type.bit_width // 8, 1)
        if memory.address % size:
            numbers = np.array(array.to_numpy(zero_copy_only=False))
            return Column(numbers.ctypes.data, kind, 0, numbers)
        return Column(memory.address, kind, array.offset, memory)


class Lists(ArrowColumn):
    """A column of lists of so many numbers each."""

    def __init__(self, name: str, type_: Any) -> None:
        super().__init__(name)
        self.width = type_.list_size
        self.is_short = type_.value_type in _SHORT

    @property
    def names(self) -> list[str]:
        """The column's name with the place in the list."""
        return expanded(self.name, None, self.width)

    def part(self, array: Any, row_name: Callable[[int], str]) -> Part:
        """As `ArrowColumn.part`, where they lie."""
        self._require_no_nulls(array, row_name, "expected a list of numbers in its place, or no such row")
        values = array.flatten()
        self._require_no_nulls(values, lambda k: row_name(k // self.width), _NULL_REMEDY)
        return values.to_numpy(zero_copy_only=False).reshape(len(array), self.width)


class Categories(ArrowColumn):
    """A column of values of a list: one of zeros and ones for each, or their numbers on it.

    values : sequence          as_numbers : bool          are_of_model : bool, whether a model was trained on them
    """

    def __init__(
        self, name: str, type_: Any, values: Sequence[Any], as_numbers: bool = False, are_of_model: bool = False
    ) -> None:
        super().__init__(name)
        self._values, self._as_numbers, self._are_of_model = list(values), as_numbers, are_of_model
        if not self._values or len(set(self._values)) < len(self._values):
            raise ValueError(f"categories of column {name!r} are {self._values!r}; expected values that differ")
        self.width = 1 if as_numbers else len(self._values)
        self._type = _plain(type_)
        try:
            self._set = pa.array(self._values, self._type)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TypeError(
                f"categories of column {name!r} are {_few(self._values)}, and it holds {type_}; expected such values"
            ) from error

    @property
    def names(self) -> list[str]:
        """The column's name with each value."""
        return expanded(self.name, None if self._as_numbers else self._values)

    def part(self, array: Any, row_name: Callable[[int], str]) -> Part:
        """As `ArrowColumn.part`."""
        array = _of_type(array, self._type)
        if "" in self._values and None not in self._values:
            # Of words, either may stand for what is missing.
            array = array.fill_null("")
        codes = pc.index_in(array, value_set=self._set)
        if codes.null_count and self.ignores_unknown:
            codes = codes.fill_null(NO_CATEGORY)
        elif codes.null_count:
            row = codes.is_null().index(True).as_py()
            value = array[row].as_py()
            found = "a null" if value is None else repr(value)
            whose = "the model's" if self._are_of_model else "its"
            raise ValueError(
                f"column {self.name!r} holds {found} in {row_name(row)}, which is none of {whose} categories "
                f"{_few(self._values)}; expected {self._remedy(value)}"
            )
        codes = codes.to_numpy(zero_copy_only=False)
        return codes.reshape(-1, 1) if self._as_numbers else Codes(codes, self.width)

    def _remedy(self, value: Any) -> str:
        """What to do about a value that is none of them; a model's stay as they are."""
        if self._as_numbers:
            return "it among them" if value is not None else "a label in each row"
        hashes = f"hashes, categories={{{self.name!r}: 64}}, which take any value"
        ignored = "handle_unknown='ignore', which gives it none of their columns"
        if self._are_of_model:
            others = "it" if value is not None else "nulls"
            return f"{ignored}, or a model trained anew, with {others} among them, or with {hashes}"
        if value is None:
            return f"None or '' among them, as categories={{{self.name!r}: 'auto'}} finds it, {ignored}, or {hashes}"
        return f"it among them, {ignored}, or {hashes}"


class Hashes(ArrowColumn):
    """A column of any values, each of which has one of k columns by its hash; a null's is that of the empty word."""

    def __init__(self, name: str, type_: Any, width: int) -> None:
        super().__init__(name)
        if width < 1:
            raise ValueError(f"categories of column {name!r} is {width}; expected at least 1, or a list of values")
        self.width, self._type = width, _plain(type_)

    @property
    def names(self) -> list[str]:
        """The column's name with the number of the hash."""
        return expanded(self.name, self.width)

    def part(self, array: Any, row_name: Callable[[int], str]) -> Part:
        """As `ArrowColumn.part`."""
        encoded = _of_type(array, self._type).dictionary_encode()
        hashes = [_hash(value) % self.width for value in [*encoded.dictionary.to_pylist(), ""]]
        places = encoded.indices.fill_null(len(hashes) - 1)
        return Codes(np.array(hashes, np.int64)[places.to_numpy()], self.width)


def _hash(value: Any) -> int:
    """A number of 64 bits that is the same on any machine and for any type of file, of what a value is as text."""
    text = str(value)
    # Integers become floats where some are missing, and a CSV file has either as words.
    text = _INTEGER_AS_FLOAT.sub(r"\1", text)
    text = text.lower() if text.lower() in ("true", "false") else text
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def column_of(
    field: Any, categories: Sequence[Any] | int | None, is_target: bool = False, is_of_model: bool = False
) -> ArrowColumn:
    """How a column becomes numbers; a TypeError, with what to do about it, where it does not.

    field : pyarrow.Field          categories : values that are declared, or a number of hashes
    is_of_model : whether a model was trained on it
    """
    name, type_ = field.name, field.type
    if isinstance(categories, int) and not isinstance(categories, bool):
        if is_target:
            raise TypeError(f"categories of target {name!r} is {categories}; expected a list of its values")
        return Hashes(name, type_, categories)
    if categories is not None:
        if isinstance(categories, str) or not hasattr(categories, "__len__"):
            raise TypeError(
                f"categories of column {name!r} is {categories!r}; expected a list of values, an int, or 'auto'"
            )
        return Categories(name, type_, categories, is_target, is_of_model)
    values = type_.value_type if pa.types.is_dictionary(type_) else type_
    if _is_number(values):
        return Numbers(name, values, is_target, is_of_model)
    if pa.types.is_fixed_size_list(type_) and _is_number(type_.value_type) and type_.list_size:
        return Lists(name, type_)
    metadata = field.metadata or {}
    example = metadata.get(EXAMPLE)
    remedy = _of_model(values) if is_of_model else _remedy(name, values, is_target, NEARLY_NUMBERS in metadata)
    if REMEDY in metadata:
        remedy = metadata[REMEDY].decode()
    found = f"{type_}, as {example.decode()}" if example else str(type_)
    raise TypeError(f"column {name!r} holds {found}; expected numbers. {remedy}")


def _is_number(type_: Any) -> bool:
    return type_ in _KINDS or pa.types.is_float16(type_) or pa.types.is_decimal(type_)


def _remedy(name: str, type_: Any, is_target: bool, are_nearly_numbers: bool) -> str:
    if are_nearly_numbers and is_target:
        return (
            "Nearly all of its values are numbers: correct the others, or leave their rows out, or, where all are "
            f"classes, categories={{{name!r}: 'auto'}}"
        )
    if are_nearly_numbers:
        return (
            "Nearly all of its values are numbers: correct the others, or leave them empty, which "
            f"fill_nulls={{{name!r}: 'mean'}} fills, or leave the column out, drop=[{name!r}], or, should it be of "
            f"words, categories={{{name!r}: 'auto'}}"
        )
    if pa.types.is_null(type_):
        return f"It is null where its type was looked for: drop=[{name!r}], or fill it before"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"Where all lists are of one size, cast it to pyarrow.list_(pyarrow.float32(), size), or drop=[{name!r}]"
    if pa.types.is_temporal(type_):
        return f"Make numbers of it before, such as days since some date, or drop=[{name!r}]"
    if is_target:
        return f"Where these are classes, categories={{{name!r}: 'auto'}} gives their numbers in a list of them"
    return (
        f"Leave it out, drop=[{name!r}], or make a column of each of its values, categories={{{name!r}: 'auto'}}, or "
        f"of hashes of them, categories={{{name!r}: 64}}"
    )


def _of_model(type_: Any) -> str:
    """What to do about a column that a model has and that holds no numbers."""
    if pa.types.is_null(type_):
        return "All that was read of it is null: give a number by fill_nulls or take a model that was trained with one"
    return "The model was trained on numbers in its place: make such of it before"


def _plain(type_: Any) -> Any:
    """The type of a column's values, in a form that values can be looked up in."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    is_text = pa.types.is_large_string(type_) or pa.types.is_string_view(type_) or pa.types.is_string(type_)
    return pa.large_string() if is_text else type_


def decoded(array: Any) -> Any:
    """An array without a dictionary, and without text as views, as Polars has it, for which pyarrow lacks functions."""
    if pa.types.is_dictionary(array.type):
        return decoded(array.dictionary).take(array.indices)
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def _of_type(array: Any, type_: Any) -> Any:
    array = decoded(array)
    array = array if array.type == type_ else array.cast(type_)
    # Of the two zeros, one is in lists of values.
    return pc.add(array, 0.0) if pa.types.is_float32(type_) or pa.types.is_float64(type_) else array


def _few(values: Sequence[Any], most: int = 8) -> str:
    shown = ", ".join(map(repr, values[:most]))
    return f"[{shown}{', ...' if len(values) > most else ''}]"
