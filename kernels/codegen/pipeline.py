"""The passes that Numba compiles kernels by: its own, without the work that kernels have no use for."""

from typing import Any

from numba.core import ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.inline_closurecall import InlineWorker
from numba.core.typed_passes import NopythonRewrites
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


def _adapted(passes: PassManager) -> PassManager:
    """Kernels allocate nothing, so they have no expressions of whole arrays to be rewritten."""
    passes.passes = [
        (_InlineKernels if made is InlineInlinables else made, name)
        for made, name in passes.passes
        if made is not NopythonRewrites
    ]
    passes.finalize()
    return passes


class KernelCompiler(CompilerBase):
    """What compiles kernels."""

    def define_pipelines(self) -> list[PassManager]:
        """The passes."""
        return [_adapted(DefaultPassBuilder.define_nopython_pipeline(self.state))]
