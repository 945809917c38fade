"""The settings of optimisers, losses and schedules, as options of the command line.

They are read from the source of the modules that have them: to import these takes a compiler, and `--help` shows them.
"""

import argparse
import ast
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from fastgd.losses import Loss
    from fastgd.optimizers import Optimizer
    from fastgd.schedules import Schedule

_PACKAGE = Path(__file__).parents[1]

# How an option of each type is read.
_TYPES: dict[str, dict[str, Any]] = {
    "float": {"type": float, "metavar": "NUMBER"},
    "int": {"type": int, "metavar": "NUMBER"},
    "bool": {"action": argparse.BooleanOptionalAction},
    "bool | None": {"action": argparse.BooleanOptionalAction},
    "tuple[float, float]": {"type": float, "nargs": 2, "metavar": "NUMBER"},
}


class Setting(NamedTuple):
    """A parameter of an optimiser, a loss or a schedule: the source of its type and of its default, if it has one."""

    type: str
    default: str | None


Settings = dict[str, dict[str, Setting]]


@functools.cache
def classes_in(module: str) -> Settings:
    """The parameters of each dataclass of a module that is not abstract, but for the learning rate."""
    found: Settings = {}
    for node in _definitions(module, ast.ClassDef):
        if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            continue
        own = {
            item.target.id: Setting(ast.unparse(item.annotation), item.value and ast.unparse(item.value))
            for item in node.body
            if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation)
        }
        bases = [ast.unparse(base) for base in node.bases]
        if "ABC" not in bases:
            found[node.name] = {name: s for base in bases for name, s in found.get(base, {}).items()} | own
    for settings in found.values():
        settings.pop("learning_rate", None)
    order = [node.id for node in ast.walk(_table(module)) if isinstance(node, ast.Name)]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))


@functools.cache
def losses() -> Settings:
    """The parameters of each loss that has some."""
    found = {}
    for node in _definitions("losses", ast.FunctionDef):
        arguments = node.args.args
        if node.returns and ast.unparse(node.returns) == "Loss" and len(arguments) == len(node.args.defaults):
            defaults = zip(arguments, node.args.defaults, strict=True)
            found[node.name] = {a.arg: Setting(ast.unparse(a.annotation), ast.unparse(d)) for a, d in defaults}
    return found


def loss_names() -> list[str]:
    """Every loss."""
    return [key.value for key in _table("losses").keys]


def _table(module: str) -> Any:
    """What a module assigns to its own name in capitals."""
    assignments = (node for node in _tree(module).body if isinstance(node, ast.Assign))
    return next(node.value for node in assignments if ast.unparse(node.targets[0]) == module.upper())


@functools.cache
def _tree(module: str) -> ast.Module:
    files = [_PACKAGE / f"{module}.py"]
    if not files[0].exists():
        files = sorted((_PACKAGE / module).glob("*.py"))
    return ast.parse("\n".join(file.read_text(encoding="utf-8") for file in files))


def _definitions(module: str, kind: type) -> list[Any]:
    return [node for node in _tree(module).body if isinstance(node, kind) and not node.name.startswith("_")]


def add_options(group: Any, of: str, kinds: Settings) -> None:
    """Add an option for each setting, by its name; by its kind's name too where another option has that name.

    of : "optimizer" or "loss"
    """
    names = dict.fromkeys(name for settings in kinds.values() for name in settings)
    for name in names:
        owners = {kind: settings[name] for kind, settings in kinds.items() if name in settings}
        reading = {"dest": f"{of}.{name}", "default": argparse.SUPPRESS, "help": f"of {_shown(owners)}"}
        reading |= _TYPES[next(iter(owners.values())).type]
        option = f"--{name.replace('_', '-')}"
        try:
            group.add_argument(option, **reading)
        except argparse.ArgumentError:
            for kind in owners:
                group.add_argument(f"--{kind.lower()}{option[1:]}", **reading)


def _shown(owners: dict[str, Setting]) -> str:
    defaults = {setting.default for setting in owners.values()}
    if defaults == {"None"}:
        return ", ".join(owners)
    if len(defaults) == 1:
        return f"{', '.join(owners)} (default: {defaults.pop()})"
    return "; ".join(
        kind if setting.default == "None" else f"{kind} (default: {setting.default})"
        for kind, setting in owners.items()
    )


def loss(options: argparse.Namespace) -> "Loss":
    """The loss that was asked for."""
    from fastgd import losses as module

    name = module.name_of(module.as_loss(options.loss))
    given = _given(options, "loss", name, losses())
    return getattr(module, name)(**given) if given else module.as_loss(name)


def optimizer(options: argparse.Namespace, updates_per_epoch: int) -> "Optimizer | Literal['auto']":
    """The optimiser that was asked for, with its rate or schedule; "auto" as it is."""
    from fastgd.data import checks
    from fastgd.optimizers import OPTIMIZERS

    if options.optimizer == "auto":
        if options.learning_rate not in (None, "auto") or options.schedule is not None:
            raise ValueError(
                "--learning-rate or --schedule with --optimizer auto, which has a rate of its own; expected "
                f"--optimizer {', '.join(OPTIMIZERS)}"
            )
        _given(options, "optimizer", "auto", classes_in("optimizers"))
        return "auto"
    name = checks.choice(options.optimizer, "--optimizer", ["auto", *OPTIMIZERS])
    given = _given(options, "optimizer", name, classes_in("optimizers"))
    rate = options.learning_rate
    if options.schedule is not None:
        given["learning_rate"] = schedule(options.schedule, rate, OPTIMIZERS[name]().learning_rate, updates_per_epoch)
    elif rate is not None:
        given["learning_rate"] = rate
    return OPTIMIZERS[name](**given)


def _given(options: argparse.Namespace, of: str, kind: str, kinds: Settings) -> dict[str, Any]:
    """The settings that were given, all of them of this kind."""
    prefix = f"{of}."
    given = {name.removeprefix(prefix): v for name, v in vars(options).items() if name.startswith(prefix)}
    for name in given:
        if name not in kinds.get(kind, {}):
            owners = [other for other, settings in kinds.items() if name in settings]
            raise ValueError(
                f"{name}, a setting of {', '.join(owners)}, is given and --{of} is {kind}; expected --{of} "
                f"{' or '.join(owners)}"
            )
    return given


def schedule(text: str, rate: float | str | None, default_rate: Any, updates_per_epoch: int) -> "Schedule":
    """The schedule that NAME:SETTING=VALUE,... says.

    Parameters
    ----------
    text : str
        A count of updates may be given in epochs, as in Step:step_size=2epochs.
    rate : float, "auto" or None
        What the learning rate was said to be.
    default_rate : float
        What it is where nothing was said.
    updates_per_epoch : int
    """
    from fastgd.data import checks
    from fastgd.schedules import SCHEDULES

    if rate == "auto":
        raise ValueError(
            "--learning-rate is 'auto', which has a schedule of its own; expected a number, or no --schedule"
        )
    name, _, rest = text.partition(":")
    known = classes_in("schedules")
    name = checks.choice(name, "--schedule", known)
    settings = {key: setting for key, setting in known[name].items() if key != "max_lr"}
    arguments = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in settings:
            raise ValueError(
                f"--schedule is {text!r} and {name} has no setting {key!r}; expected {', '.join(settings) or 'none'}, "
                "and the rate by --learning-rate"
            )
        arguments[key] = _number(value, settings[key].type, f"{key} of --schedule {name}", updates_per_epoch)
    missing = [key for key, setting in settings.items() if setting.default is None and key not in arguments]
    if missing:
        raise ValueError(
            f"--schedule is {text!r}, and {name} needs {', '.join(missing)}; expected it in updates or epochs, as in "
            f"{name}:{missing[0]}=1000 or {name}:{missing[0]}=2epochs"
        )
    kind = SCHEDULES[name]
    taken = _rates_of(kind)
    if not taken and rate is not None:
        raise ValueError(f"--learning-rate is {rate} and --schedule {name} takes none; expected one of them")
    return kind(**arguments, **dict.fromkeys(taken, default_rate if rate is None else rate))


def takes_rate(text: str) -> bool:
    """Whether a schedule, NAME:SETTING=VALUE,..., is one of a rate, and not a rate by itself."""
    from fastgd.schedules import SCHEDULES

    kind = SCHEDULES.get(text.partition(":")[0])
    return kind is not None and bool(_rates_of(kind))


def _rates_of(kind: "type[Schedule]") -> list[str]:
    """What a schedule calls the rate that it is of."""
    return [key for key in ("learning_rate", "max_lr") if key in kind.__dataclass_fields__]


def _number(value: str, kind: str, name: str, updates_per_epoch: int) -> float:
    """A number as a schedule takes it."""
    counted = re.fullmatch(r"([\d.]+)epochs?", value) if kind == "int" else None
    try:
        if counted:
            return max(round(float(counted[1]) * updates_per_epoch), 1)
        return int(value) if kind == "int" else float(value)
    except ValueError:
        expected = "a number of updates, or of epochs as in 2epochs" if kind == "int" else "a number"
        raise ValueError(f"{name} is {value!r}; expected {expected}") from None
