"""The passes that Numba compiles kernels by: its own, without the work that kernels have no use for."""

from typing import Any, ClassVar

from numba.core import ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.inline_closurecall import InlineWorker
from numba.core.typed_passes import IRLegalization, NopythonRewrites
from numba.core.untyped_passes import InlineInlinables


class _OwnBlock(ir.Block):
    """A block that belongs to one call's copy of an inlined kernel, so that a copy of it is itself."""

    def __deepcopy__(self, memo: dict) -> "_OwnBlock":
        return self


class _Inliner(InlineWorker):
    """Numba's own, which translates a kernel anew for each call, and would copy it twice besides."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._compiler_pipeline = _untyped_pipeline

    def run_untyped_passes(self, func: Any, enable_ssa: bool = False) -> Any:
        """The kernel's representation, for one call."""
        found = super().run_untyped_passes(func, enable_ssa)
        for block in found.blocks.values():
            block.__class__ = _OwnBlock
        return found


@register_pass(mutates_CFG=True, analysis_only=False)
class _InlineKernels(InlineInlinables):
    """Numba's pass without the copies, which take up to a fifth of the time that a loop takes to compile."""

    _name = "inline_kernels"

    def run_pass(self, state: Any) -> bool:
        """Inline what is to be."""
        self._inliner = _Inliner(state.typingctx, state.targetctx, state.locals, state.pipeline, state.flags)
        is_changed = super().run_pass(state)
        for block in state.func_ir.blocks.values():
            block.__class__ = ir.Block
        return is_changed

    def _do_work(self, state: Any, work_list: list, block: ir.Block, i: int, expr: ir.Expr, inline_worker: Any) -> bool:
        return super()._do_work(state, work_list, block, i, expr, self._inliner)


def _untyped_pipeline(state: Any) -> PassManager:
    return _adapted(DefaultPassBuilder.define_untyped_pipeline(state))


# Kernels have no expressions of whole arrays, and nothing that must be released where its life ends.
_LEFT_OUT = NopythonRewrites, IRLegalization


def _adapted(passes: PassManager) -> PassManager:
    """Numba's passes, ours in place of one of them."""
    passes.passes = [
        (_InlineKernels if made is InlineInlinables else made, name)
        for made, name in passes.passes
        if made not in _LEFT_OUT
    ]
    passes.finalize()
    return passes


class _InheritedFlags(Flags):
    """What is compiled for a kernel is found again by these, thousands of times: as an object, not by all their values.

    Which they are does not depend on how a kernel is called: one that is inlined calls the same functions as others.
    """

    __slots__ = ()
    __hash__ = object.__hash__
    _known: ClassVar[dict[str, "_InheritedFlags"]] = {}

    def __eq__(self, other: object) -> bool:
        return self is other

    @classmethod
    def of(cls, flags: Flags) -> "_InheritedFlags":
        """Those that functions which a kernel calls inherit."""
        inherited = cls(flags)
        inherited.forceinline = inherited.no_cpython_wrapper = True
        inherited.discard("inline")
        return cls._known.setdefault(inherited.summary(), inherited)


class _KernelFlags(Flags):
    """A kernel's."""

    __slots__ = ()

    def copy(self) -> Flags:
        """What Numba keeps for functions that are called."""
        return _InheritedFlags.of(self)


class KernelCompiler(CompilerBase):
    """What compiles kernels."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.flags = _KernelFlags(self.state.flags)

    def define_pipelines(self) -> list[PassManager]:
        """The passes."""
        return [_adapted(DefaultPassBuilder.define_nopython_pipeline(self.state))]
