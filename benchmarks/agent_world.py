"""A help desk in which an agent works: customers, orders, five tools, and cases with one right way to solve them.

A case names a customer and a request. Solving it takes two to five calls of the right tool with the right arguments,
most of which are results of earlier calls, and then an answer. A wrong read costs a call; a wrong refund or message
cannot be undone. Everything follows from the number of the case.

The policy errs with known probabilities: at each step of a case it is right with probability 0.9, 0.6 or 0.2, and else
takes a wrong tool, a wrong argument, leaves an argument out, or stops too early. The verifier grades a step by how near
it is to the right one, with noise, and sometimes (`MISJUDGED`) at random. Candidate i of a step and its score depend on
nothing else.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool, StructuredTool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MISJUDGED", "Call", "Case", "Desk", "Step", "case_of", "grade", "write_step"]

SKILLS = {0.9: 0.55, 0.6: 0.30, 0.2: 0.15}
"""How probably the policy is right at a step, and the share of steps of that kind."""
MISJUDGED = 0.03
"""How often a score says nothing about its step."""
SPARE_CALLS = 3
"""Calls beyond the needed ones after which the policy gives up."""

_NAMES = ("Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether", "Kurt Gödel", "Sofia Kovalevskaya")
_ITEMS = ("lamp", "kettle", "chair", "radio", "clock", "mirror")
_STATES = ("shipped", "delivered", "lost", "returned")
_THOUGHTS = (
    "The customer wants this settled, so I look at what is known by now.",
    "The last answer of the desk tells which record this is about.",
    "I must not mix up the identifiers of customers and of orders.",
    "A refund cannot be undone, hence the amount has to be the one in the record.",
    "Before anything is written, the record has to be read.",
    "There is one tool for exactly this, and I have all of its arguments.",
)


@dataclass(frozen=True)
class Call:
    """A tool by name, with its arguments."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """What a policy does next: a call, or an answer where there is none."""

    thought: str
    call: Call | None = None


@dataclass(frozen=True)
class Case:
    """One case, with the calls that solve it and the word that the final answer has to contain."""

    number: int
    request: str
    plan: tuple[Call, ...]
    answer: str
    customer: str
    customer_id: str
    orders: Mapping[str, Mapping[str, Any]]

    def done(self, calls: Sequence[Call]) -> int:
        """How many calls of the plan have been made, in order, among all that were made."""
        place = 0
        for call in calls:
            place += place < len(self.plan) and call == self.plan[place]
        return place


def case_of(number: int) -> Case:
    """The case with this number."""
    chance = random.Random(f"case {number}")
    name = chance.choice(_NAMES)
    customer = f"C{chance.randrange(1000, 9999)}"
    items = chance.sample(_ITEMS, 3)
    orders = {
        f"O{chance.randrange(10000, 99999)}": {
            "item": item,
            "amount": chance.randrange(500, 9900) / 100,
            "state": chance.choice(_STATES),
        }
        for item in items
    }
    order, about = chance.choice(list(orders.items()))
    find, listing = Call("find_customer", {"name": name}), Call("list_orders", {"customer_id": customer})
    get = Call("get_order", {"order_id": order})
    refund = Call("refund_order", {"order_id": order, "amount": about["amount"]})

    def message(topic: str) -> Call:
        return Call("send_message", {"customer_id": customer, "topic": topic})

    requests: list[tuple[str, tuple[Call, ...], str]] = [
        (f"What is the state of the {about['item']}?", (find, listing, get), str(about["state"])),
        (
            f"Refund the {about['item']} and send a message about the refund.",
            (find, listing, get, refund, message("refund")),
            "done",
        ),
        ("Send a message about the holidays.", (find, message("holidays")), "done"),
    ]
    request, plan, answer = chance.choice(requests)
    return Case(number, f"Case {number} of {name}: {request}", plan, answer, name, customer, orders)


@dataclass
class Desk:
    """The desk of one episode: what was called, and what that did.

    Attributes:
        case: The case.
        calls: Every call that was made.
    """

    case: Case
    calls: list[Call] = field(default_factory=list)

    def tools(self) -> list[BaseTool]:
        """The five tools of the desk."""

        def find_customer(name: str) -> str:
            """Find a customer by full name."""
            found = name == self.case.customer
            return self._log("find_customer", {"customer_id": self.case.customer_id} if found else None, name=name)

        def list_orders(customer_id: str) -> str:
            """List the orders of a customer."""
            orders = {order: about["item"] for order, about in self.case.orders.items()}
            known = customer_id == self.case.customer_id
            return self._log("list_orders", orders if known else None, customer_id=customer_id)

        def get_order(order_id: str) -> str:
            """Read an order: item, amount and state."""
            return self._log("get_order", self.case.orders.get(order_id), order_id=order_id)

        def refund_order(order_id: str, amount: float) -> str:
            """Refund an order. This cannot be undone."""
            known = order_id in self.case.orders
            return self._log("refund_order", {"refunded": amount} if known else None, order_id=order_id, amount=amount)

        def send_message(customer_id: str, topic: str) -> str:
            """Send a customer a message about a topic. This cannot be undone."""
            known = customer_id == self.case.customer_id
            return self._log("send_message", {"sent": topic} if known else None, customer_id=customer_id, topic=topic)

        functions = (find_customer, list_orders, get_order, refund_order, send_message)
        return [StructuredTool.from_function(function) for function in functions]

    def _log(self, tool: str, answer: Mapping[str, Any] | None, **arguments: Any) -> str:
        self.calls.append(Call(tool, arguments))
        return json.dumps({"error": "no such record"} if answer is None else answer)

    def solved(self, answer: str) -> bool:
        """Whether exactly the right things were written, and the answer says the right word."""
        written = [call for call in self.calls if call.tool in ("refund_order", "send_message")]
        wanted = [call for call in self.case.plan if call.tool in ("refund_order", "send_message")]
        return written == wanted and self.case.answer in answer


def write_step(case: Case, calls: Sequence[Call], candidate: int, seed: int) -> Step:
    """What the policy says as this candidate, after these calls.

    Args:
        case: The case.
        calls: Every call that was made so far.
        candidate: The number of the candidate.
        seed: Of the whole test.
    """
    place = case.done(calls)
    skill = random.Random(f"skill {seed} {case.number} {place}").choices(list(SKILLS), list(SKILLS.values()))[0]
    chance = random.Random(f"step {seed} {case.number} {len(calls)} {candidate}")
    thought = " ".join(chance.choices(_THOUGHTS, k=chance.randrange(4, 13)))
    if len(calls) >= len(case.plan) + SPARE_CALLS:
        return Step(f"{thought} I give up.")
    right = case.plan[place] if place < len(case.plan) else None
    if chance.random() < skill:
        return Step(thought, right) if right else Step(f"{thought} The answer: {case.answer}.")
    if right is None:
        return Step(f"{thought} The answer: unknown.") if chance.random() < 0.5 else Step(thought, case.plan[-1])
    kind = chance.choices(("tool", "argument", "missing", "early"), (35, 45, 10, 10))[0]
    if kind == "early":
        return Step(f"{thought} The answer: {chance.choice(('done', 'unknown'))}.")
    if kind == "tool":
        return Step(thought, chance.choice([call for call in _all_calls(case) if call.tool != right.tool]))
    name = chance.choice(list(right.arguments))
    others = {key: value for key, value in right.arguments.items() if key != name}
    return Step(
        thought, Call(right.tool, others if kind == "missing" else {**others, name: _wrong(chance, name, case)})
    )


def _all_calls(case: Case) -> list[Call]:
    """A call of each tool that looks sensible for the case."""
    order, about = next(iter(case.orders.items()))
    return [
        Call("find_customer", {"name": case.customer}),
        Call("list_orders", {"customer_id": case.customer_id}),
        Call("get_order", {"order_id": order}),
        Call("refund_order", {"order_id": order, "amount": about["amount"]}),
        Call("send_message", {"customer_id": case.customer_id, "topic": "order"}),
    ]


def _wrong(chance: random.Random, name: str, case: Case) -> Any:
    return {
        "name": f"{case.customer.split()[0]} Smith",
        "customer_id": f"C{chance.randrange(100, 999)}",
        "order_id": f"O{chance.randrange(1000, 9999)}",
        "amount": chance.randrange(100, 499) / 100,
        "topic": chance.choice(("order", "weather", "survey")),
    }[name]


def grade(case: Case, calls: Sequence[Call], step: Step, candidate: int, seed: int) -> float:
    """The verifier's score of a step, in [0, 1].

    Args:
        case: The case.
        calls: Every call that was made so far.
        step: The candidate.
        candidate: Its number.
        seed: Of the whole test.
    """
    chance = random.Random(f"grade {seed} {case.number} {len(calls)} {candidate}")
    if chance.random() < MISJUDGED:
        return chance.random()
    place = case.done(calls)
    right = case.plan[place] if place < len(case.plan) else None
    if right is None:
        good = 0.95 if step.call is None and case.answer in step.thought else 0.2
    elif step.call is None:
        good = 0.1
    elif step.call == right:
        good = 0.95
    elif step.call.tool == right.tool:
        kept = sum(step.call.arguments.get(key) == value for key, value in right.arguments.items())
        good = 0.35 + 0.35 * kept / len(right.arguments)
    else:
        good = 0.15
    return min(1.0, max(0.0, chance.gauss(good, 0.05)))
