"""The private names of dependencies: each still there and doing what is needed, and none used elsewhere."""

import ast
from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumpd, load
from langchain_core.load.serializable import Serializable
from langchain_core.runnables import ConfigurableField, RunnableConfig
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

import langchain_optscale
from langchain_optscale.models import private_names

PACKAGE = Path(langchain_optscale.__file__).parent
HOME = PACKAGE / "models" / "private_names.py"


def private_imports(path):
    """What a module imports by a private name from other libraries."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("langchain_optscale"):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            if node.module != "__future__" and any(name.startswith("_") for name in names):
                yield f"{path.relative_to(PACKAGE)}: {node.module} {names[-1]}"


def test_no_other_module_imports_private_names():
    modules = [path for path in PACKAGE.rglob("*.py") if path != HOME]
    assert len(modules) > 100
    assert [name for path in modules for name in private_imports(path)] == []
    assert list(private_imports(HOME))


def test_no_other_module_accesses_private_members_of_libraries():
    # The linter finds every access to a private member; what it is told to accept must be our own.
    accepted = ("our own", "of this class", "of this module", "made nowhere else", "the method to override")
    for path in PACKAGE.rglob("*.py"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "noqa: SLF001" in line and path != HOME:
                assert any(reason in line for reason in accepted), f"{path}, line {number}"
            if "__pregel" in line:
                assert path == HOME, f"{path}, line {number}"


def test_langchain_core_streams_to_users_by_these_handlers():
    # Without them tokens of candidates would reach the stream of the final answer.
    from langchain_core.tracers.event_stream import _AstreamEventsCallbackHandler
    from langchain_core.tracers.log_stream import LogStreamCallbackHandler

    for kind in (_AstreamEventsCallbackHandler, LogStreamCallbackHandler):
        assert issubclass(kind, private_names.USER_STREAM_HANDLER), f"langchain-core: {kind} streams by another class"
    assert private_names.USER_STREAM_HANDLER in private_names.STREAMING_HANDLERS


class Loadable(Serializable):
    number: int

    @classmethod
    def is_lc_serializable(cls):
        return True

    @classmethod
    def lc_id(cls):
        return ["langchain_optscale", "test", "Loadable"]


@pytest.mark.filterwarnings("ignore:The function `load:langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_langchain_core_loads_what_joined_its_table():
    # Without it neither `load` nor pickling gives a ChatOptScale back.
    private_names.make_loadable(tuple(Loadable.lc_id()), (*__name__.split("."), "Loadable"))
    data = dumpd(Loadable(number=3))
    assert data["id"] == Loadable.lc_id(), "langchain-core: serialised names have another form"
    loaded = load(data, allowed_objects="all", valid_namespaces=["langchain_optscale", __name__.partition(".")[0]])
    assert type(loaded).__name__ == "Loadable"


def test_langchain_core_prepares_configured_models():
    # Without it the settings of one call would count as given for every call.
    model = FakeListChatModel(responses=["a"]).configurable_fields(responses=ConfigurableField(id="answers"))
    config: RunnableConfig = {"configurable": {"answers": ["b"]}}
    prepared, _ = private_names.prepare_configured(model, config)
    assert prepared.responses == ["b"], "langchain-core: configurable fields are prepared by another method"


class State(TypedDict):
    value: int


def test_langgraph_passes_reader_and_runtime_by_these_keys():
    # Without the reader a task of `Send` has no conversation; without the runtime edges emit no events.
    found = {}

    def node(state: State, config: RunnableConfig):
        found["read"] = config["configurable"][private_names.READ_KEY](["value"])
        found["runtime"] = config["configurable"][private_names.RUNTIME_KEY].stream_writer
        return {"value": 2}

    def edge(state: State, config: RunnableConfig):
        found["edge"] = config["configurable"][private_names.RUNTIME_KEY].stream_writer
        return "__end__"

    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_conditional_edges("node", edge)
    graph.compile().invoke({"value": 1})
    assert found["read"] == {"value": 1}, "LangGraph: tasks read channels by another key"
    assert callable(found["runtime"]), "LangGraph: nodes get the runtime by another key"
    assert callable(found["edge"]), "LangGraph: edges get the runtime by another key"


def test_jsonschema_resolves_references_by_these_names():
    # Without it the properties that a schema evaluates beneath a reference count as unknown ones.
    jsonschema = pytest.importorskip("jsonschema")
    schema = {"$defs": {"one": {"title": "found"}}}
    for keyword, kind, reference in (
        ("$ref", jsonschema.Draft202012Validator, "#/$defs/one"),
        ("$dynamicRef", jsonschema.Draft202012Validator, "#/$defs/one"),
    ):
        found = private_names.schema_at(kind(schema), keyword, reference)
        assert found.schema == {"title": "found"}, "jsonschema: validators resolve references by another name"
    recursive = jsonschema.Draft201909Validator(schema)
    assert private_names.schema_at(recursive, "$recursiveRef", "#").schema == schema
