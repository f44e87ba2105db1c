"""A second device for torch, in the same memory: as with a GPU, its tensors and those of the CPU may not meet.

Importing this gives a process the device NAME; tensors come to it by `.to(NAME)`. Every operation runs on the CPU.
What torch lacks for a device written in Python is filled in here: storage to save from, pinned memory, autocast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "second"
_MAY_MEET = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_", "aten::_index_put_impl_"}
_IN_HALF = ("linear", "matmul", "mm", "bmm", "addmm")


class Elsewhere(torch.Tensor):  # type: ignore[misc]  # torch's types are not followed
    """A tensor of the second device; `here` holds its numbers."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> Elsewhere:
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=torch.device(NAME, 0),
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(op, *args, **(kwargs or {}))

    def untyped_storage(self) -> Any:
        return self.here.untyped_storage()

    def data_ptr(self) -> Any:
        return self.here.data_ptr()

    def pin_memory(self, *_: object) -> Elsewhere:
        return self


def _run(op: Any, *args: Any, **kwargs: Any) -> Any:
    given, name = tree_leaves((args, kwargs)), op._schema.name
    ours = [leaf for leaf in given if isinstance(leaf, Elsewhere)]
    others = [leaf for leaf in given if isinstance(leaf, torch.Tensor) and leaf.dim() and leaf.device.type == "cpu"]
    if ours and others and name not in _MAY_MEET:
        raise RuntimeError(f"{name}: expected all tensors to be on the same device")
    to = kwargs.get("device")
    stays = bool(ours) if to is None else torch.device(to).type == NAME
    args, kwargs = tree_map(_here, (args, kwargs))
    made = op(*args, **kwargs | ({"pin_memory": False} if "pin_memory" in kwargs else {}))
    known = {id(_here(leaf)): leaf for leaf in given if isinstance(leaf, torch.Tensor)} if op._schema.is_mutable else {}
    return tree_map(lambda one: known.get(id(one)) if id(one) in known else _there(one) if stays else one, made)


def _here(one: Any) -> Any:
    if isinstance(one, torch.device) and one.type == NAME:
        return torch.device("cpu")
    return one.here if isinstance(one, Elsewhere) else one


def _there(one: Any) -> Any:
    return Elsewhere(one) if isinstance(one, torch.Tensor) and not isinstance(one, Elsewhere) else one


class _Module:
    """What torch asks of `torch.second`."""

    def _is_in_bad_fork(self) -> bool:
        return False

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def manual_seed_all(self, seed: int) -> None: ...

    def set_device(self, device: object) -> None: ...

    def get_rng_state(self, *_: object) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, *_: object) -> None: ...

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    @contextmanager
    def device(self, _: object) -> Iterator[None]:
        yield


def _in_half(op: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(NAME, enabled=False):
            return op(*tree_map(_halved, args), **tree_map(_halved, kwargs))

    return run


def _halved(one: Any) -> Any:
    return one.to(torch.bfloat16) if isinstance(one, torch.Tensor) and one.dtype == torch.float32 else one


@contextmanager
def tensors_made_there() -> Iterator[None]:
    """Let `torch.tensor(..., device=NAME)` work, which torch cannot do for a device written in Python."""
    plain = torch.tensor

    def tensor(data: Any, *, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is None or torch.device(device).type != NAME:
            return plain(data, device=device, **kwargs)
        return plain(data, **kwargs).to(device)

    torch.tensor = tensor
    try:
        yield
    finally:
        torch.tensor = plain


_setup_privateuseone_for_python_backend(NAME, _Module())
_every, _aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
_every.fallback(_run, "PrivateUse1")
_every.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
for _name in _IN_HALF:
    _aten.impl(_name, _in_half(getattr(torch.ops.aten, _name)), "AutocastPrivateUse1")
torch.Tensor.pin_memory = lambda self, *_: self
