"""`agentevo memory reflect|sweep`: insights from what is there, and forgetting by rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from agentevo.cli.memory.given import WhereOption, kind_given, kinds_given, where_given
from agentevo.cli.memory.looking import TABLE_LIMIT
from agentevo.cli.memory.opening import JsonOption, NamespaceOption, PathOption, opened
from agentevo.cli.memory.policies import GRAMMAR, policy_given
from agentevo.cli.memory.shown import one_line, show_rows, visible
from agentevo.cli.output import show, show_json, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.memory import Memory, Sweep
    from agentevo.types import Json, Op

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


def reflect(
    context: typer.Context,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Who reflects; by default that of run.")] = None,
    by: Annotated[
        str, typer.Option(metavar="similar|day|all|group:KEY", help="What is reflected on together.")
    ] = "similar",
    where: WhereOption = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="What is reflected on: experience and fact.")
    ] = None,
    to: Annotated[str, typer.Option(metavar="KIND", help="The kind that insights become.")] = "lesson",
    at_least: Annotated[int, typer.Option(min=1, help="The smallest group that is worth it.")] = 3,
    recursive: Annotated[bool, typer.Option("--recursive", help="One summary a group, which is carried on.")] = False,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Spend at most this many dollars.")] = None,
    dry_run: DryRunOption = False,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a model find insights in groups of items; they are inserted, and nothing is forgotten."""
    from agentevo.cli.models import pull_progress
    from agentevo.models import Budget, spending
    from agentevo.settings import settings

    chosen, limit = model or settings().model, settings().max_cost_usd if max_cost is None else max_cost
    kinds = kinds_given(kind) or ["experience", "fact"]
    with opened(context, path, namespace) as memory, pull_progress(), spending(budget=Budget(max_cost_usd=limit)):
        tell(f"reflecting with {visible(chosen)} ...")
        done = memory.reflect(
            where_given(where), model=chosen, by=by, kinds=kinds, to=kind_given(to), at_least=at_least,
            recursive=recursive, dry_run=dry_run,
        )  # fmt: skip
        _show_sweep(memory, done, dry_run, as_json)


def sweep(
    context: typer.Context,
    policy: Annotated[
        list[str] | None, typer.Option("--policy", metavar="POLICY", help=f"What goes; one after the other. {GRAMMAR}")
    ] = None,
    dry_run: DryRunOption = False,
    seed: Annotated[int, typer.Option(help="For decay:mode=sample, which draws.")] = 0,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget by rules, in one change that undo takes back; pinned items stay."""
    if not policy:
        raise Misuse(f"sweep needs at least one --policy. {GRAMMAR}")
    policies = [policy_given(one) for one in policy]
    with opened(context, path, namespace) as memory:
        done = memory.sweep(policies, seed=seed, dry_run=dry_run, reason=f"sweep: {' '.join(policy)}")
        _show_sweep(memory, done, dry_run, as_json)


def _show_sweep(memory: Memory, done: Sweep, dry_run: bool, as_json: bool) -> None:
    if as_json:
        committed = None if done.transaction is None else done.transaction.model_dump(mode="json")
        ops = [op.model_dump(mode="json") for op in done.ops]
        show_json(cast("Json", {"dry_run": dry_run, "ops": ops, "transaction": committed}))
        return
    if done.ops:
        shown = [_row(memory, op) for op in done.ops[:TABLE_LIMIT]]
        show_rows(("ID", "CHANGE", "REASON", "TEXT"), shown)
    if len(done.ops) > TABLE_LIMIT:
        tell(f"the first {TABLE_LIMIT} are shown; --json shows all")
    if dry_run:
        show(f"{len(done.ops)} changes would be made")
    else:
        show(f"{len(done.ops)} changes were made" + ("; undo takes them back" if done.ops else ""))


def _row(memory: Memory, op: Op) -> tuple[str, str, str, str]:
    item = op.item or memory.get(op.id)
    return visible(op.id), op.verb, one_line(op.reason), one_line(item.text) if item else ""
