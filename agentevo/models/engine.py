"""llama.cpp in this process: one server a weight file, with slots for requests that run at once.

What a reply depends on: the model, the adapter, and the request, not what was asked before or meanwhile. For that
the attention runs row by row (see `_exact_attention`), slots share no cache, and evicted prompts are not kept.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agentevo.errors import ContextTooLong, Misuse, ModelError, RequestRejected, WeightsError
from agentevo.models.gguf_header import Value, context_of, read_header
from agentevo.models.installed import again
from agentevo.models.private_socket import PrivateSocket
from agentevo.models.threads import wait_without_spinning
from agentevo.models.workers import Workers
from agentevo.types import Json

SLOTS = 4
CONTEXT = 4096
"""Tokens of prompt and reply together that a slot holds, unless the model was trained for fewer."""
_BATCH = 512  # of prompt tokens; a request can be cancelled between two batches
_LOOK_EVERY_S = 0.05
_COUNTS_KEPT = 1024
_LONG = 10_000
"""Characters of a text whose count is not kept, so that what is kept stays small."""

Body: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a reply: some text, and what is known once it has ended."""

    text: str = ""
    logprobs: tuple[Json, ...] = ()
    """As the chat API has them: token, bytes, logprob, top_logprobs."""
    finish: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class Engine:
    """A loaded model. `stream` blocks, and may be called by several threads at once."""

    def __init__(self, name: str, model: Path, adapters: Sequence[Path], threads: int, context: int = CONTEXT) -> None:
        """Load the model; raise WeightsError if the file cannot be, or one of the adapters is not taken."""
        self._name, self._adapters = name, tuple(adapters)
        header = read_header(model)
        self._server, self._socket = _start(
            name, model, self._adapters, header, threads, min(context, context_of(header) or context)
        )
        self._counted = functools.lru_cache(_COUNTS_KEPT)(functools.partial(_count, self._socket))
        self._adapting = threading.Lock()
        _alive.add(self)
        if _forked.is_set():
            _keep(self)
        self.workers = Workers(SLOTS, name)
        """Threads to call `stream` in: as many as requests can run at once."""

    def stream(
        self, body: Body, adapter: Path | None, on_piece: Callable[[Piece], None], stopped: threading.Event
    ) -> None:
        """Answer a chat request, handing over pieces as they come; stop at the next token once `stopped` is set."""
        failures: list[BaseException] = []

        def take(chunk: object) -> bool:
            try:
                piece = _read(chunk, self._name)
                if piece is not None and not stopped.is_set():
                    on_piece(piece)
            except BaseException as error:  # noqa: BLE001 - the runtime would swallow it; raised below
                failures.append(error)
            return bool(failures) or stopped.is_set()

        # An adapter's own matrices are computed differently for one token and for many: alone, and from the start,
        # its replies repeat.
        with self._turn(stopped) if adapter else contextlib.nullcontext():
            if not stopped.is_set():
                self._answer(
                    {**body, **_STREAMED, "cache_prompt": adapter is None, "lora": self._scales(adapter)}, take
                )
        if failures:
            raise failures[0]

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, marks of the chat template included where it holds any.

        It takes a millisecond, also while requests run, and may be called by several threads at once.
        """
        return self._counted(text) if len(text) < _LONG else _count(self._socket, text)

    def _answer(self, body: Body, take: Callable[[object], bool]) -> None:
        try:
            self._server.handle_chat_completions(body, take)
        except (ValueError, TypeError, RuntimeError) as error:
            raise _rejected(self._name, str(error)) from error

    @contextlib.contextmanager
    def _turn(self, stopped: threading.Event) -> Iterator[None]:
        """Wait for the request with an adapter that is under way, unless it is no longer wanted."""
        while not (mine := self._adapting.acquire(timeout=_LOOK_EVERY_S)) and not stopped.is_set():
            continue
        try:
            yield
        finally:
            if mine:
                self._adapting.release()

    def _scales(self, adapter: Path | None) -> list[Json]:
        """Return every adapter's weight; those left out would keep that of an earlier request in some states."""
        return [{"id": i, "scale": float(path == adapter)} for i, path in enumerate(self._adapters)]


def _count(socket: PrivateSocket, text: str) -> int:
    sendable = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair counts as one character
    return len(socket.ask("/tokenize", {"content": sendable})["tokens"])


_STREAMED: dict[str, Json] = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "return_progress": True,  # so that a long prompt can be stopped too
}


def _start(
    name: str, model: Path, adapters: Sequence[Path], header: Mapping[str, Value], threads: int, context: int
) -> tuple[Any, PrivateSocket]:
    # Without it a failed assertion starts a debugger that stops every thread of the process.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    wait_without_spinning()
    try:
        import xllamacpp
    except ImportError as error:
        raise Misuse(
            "offline models need the runtime xllamacpp, which is not installed or not available for this platform "
            f"({error}); install it with `pip install xllamacpp`, or choose another model, such as ollama/..."
        ) from error
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 1.0) for path in adapters]
    params.n_parallel, params.n_ctx = SLOTS, SLOTS * context
    params.n_batch = params.n_ubatch = _BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1  # its log would go to the process's own output
    params.kv_unified = False
    params.cache_ram_mib = 0  # it would give a prompt the state it had with another adapter
    params.warmup = False
    _exact_attention(params, xllamacpp, header)
    listening = PrivateSocket()
    listening.arrange(params)
    try:
        server = xllamacpp.Server(params)
        # Freed before its loop runs, a server waits for it for ever, and holds every Python thread meanwhile.
        server.handle_completions({"prompt": [0], "max_tokens": 1, "cache_prompt": False}, lambda _: False)
    except (RuntimeError, ValueError) as error:
        listening.close()
        raise WeightsError(f"{model} cannot be loaded: it is damaged; {again(name)}") from error
    listening.hide()
    return server, listening


def _exact_attention(params: Any, xllamacpp: Any, header: Mapping[str, Value]) -> None:
    """Choose the attention whose result for a token is the same whatever is computed with it.

    With 16-bit keys and values the runtime takes one path for a single token and others for many, so that a cached
    prefix moved log-probabilities by up to 0.3. With 8-bit ones there is one path, as exact to within rounding.
    Where heads are of a size that this cannot hold, the plain attention comes nearest.
    """
    kinds = xllamacpp.llama_flash_attn_type
    if _head_size(header) % 32:
        params.flash_attn_type = kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return
    params.flash_attn_type = kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0


def _head_size(header: Mapping[str, Value]) -> int:
    family = header.get("general.architecture")
    key, width, heads = (
        header.get(f"{family}.{field}")
        for field in ("attention.key_length", "embedding_length", "attention.head_count")
    )
    if isinstance(key, int):
        return key
    return width // heads if isinstance(width, int) and isinstance(heads, int) and heads else 1


def _read(chunk: Any, name: str) -> Piece | None:
    """Return what a chunk of the runtime says, or None; raise what an error chunk means."""
    if "error" in chunk:
        raise _failure(name, chunk["error"])
    if usage := chunk.get("usage"):
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Piece(
            prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"], cached_tokens=cached
        )
    choice = chunk["choices"][0]
    text, finish = choice["delta"].get("content") or "", choice["finish_reason"]
    logprobs = (choice.get("logprobs") or {}).get("content") or ()
    return Piece(text, tuple(logprobs), finish) if text or logprobs or finish else None


def _failure(name: str, error: Mapping[str, Any]) -> ModelError:
    if error.get("type") == "exceed_context_size_error":
        return ContextTooLong(
            f"the prompt has {error.get('n_prompt_tokens')} tokens, but model 'local/{name}' takes in "
            f"{error.get('n_ctx')}; shorten it, or choose a model with a longer context"
        )
    if error.get("code") in range(400, 500):
        return _rejected(name, str(error.get("message")))
    return ModelError(f"model 'local/{name}' failed: {error.get('message')}")


def _rejected(name: str, why: str) -> RequestRejected:
    return RequestRejected(f"model 'local/{name}' refused the request: {' '.join(why.split())[:300]}")


_alive: weakref.WeakSet[Engine] = weakref.WeakSet()
_forked = threading.Event()
"""Set in the child of a process that had loaded the runtime: its own engines cannot be freed either."""


def _keep(engine: Engine) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))


def _keep_in_child() -> None:
    # The threads of an engine stay in the parent; to free it here, even at exit, would wait for them for ever.
    if not _alive:
        return
    for engine in _alive:
        _keep(engine)
    _alive.clear()
    _forked.set()
    with contextlib.suppress(AttributeError):  # where the C library is another
        c = ctypes.CDLL(None)
        c.on_exit(c._exit, None)  # comes before the runtime's own end, which waits for its log's thread


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_in_child)
