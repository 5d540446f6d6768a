"""The examples run as they are, and are as short as they say."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lab import postgres
from lab.host import Host
from lab.node import Person

EXAMPLES = Path(__file__).parents[2] / "examples"
APPLICATIONS = {"fastapi_app": "app", "starlette_app": "app", "django_app": "application"}


class Visitor(Person):
    """Somebody signed in by the application's own cookie."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": self.token or ""}


def signs_in(host: Host, name: str) -> Visitor:
    answer = host.http.post(f"{host.url}/sign-in/{name}")
    assert answer.status_code == 200, answer.text
    host.http.cookies.clear()
    cookie = "; ".join(f"{key}={value}" for key, value in answer.cookies.items())
    return Visitor(host, answer.text.strip('"'), cookie)


@pytest.mark.parametrize("module", APPLICATIONS)
def test_two_people_of_an_example_write_to_each_other(tmp_path: Path, module: str) -> None:
    """By the application's own sign-in, live and from the history; nobody else gets in."""
    host = Host(tmp_path, f"{module}:{APPLICATIONS[module]}", source=EXAMPLES)
    host.start()
    ada, ben = signs_in(host, "ada"), signs_in(host, "ben")
    with ben.opens_stream().live() as stream:
        ada.sends(ben, "hi")
        assert "hi" == stream.until("new_message").data["text"]
    assert ["hi"] == [message["text"] for message in ada.history(ben)["messages"]]
    assert 401 == Visitor(host, "nobody", None).gets("/inbox/me").status_code
    host.stop()


class Shop(Host):
    """An example on a PostgreSQL database of its own, which its messages share."""

    def environment(self) -> dict[str, str]:
        name = f"{self.app.partition(':')[0]}_{os.getpid()}"
        postgres.shared().run(f"CREATE DATABASE {name}")
        return super().environment() | {"HOST_DB": postgres.shared().url().rpartition("/")[0] + f"/{name}"}


@pytest.mark.parametrize(("module", "application"), [("fastapi_orders", "app"), ("django_orders", "application")])
def test_a_customer_is_told_of_an_order_that_was_paid_and_of_no_other(
    tmp_path: Path, module: str, application: str
) -> None:
    """The message is in the order's transaction: it comes with the commit, and not at all where that is undone."""
    shop = Shop(tmp_path, f"{module}:{application}", source=EXAMPLES)
    shop.start()
    ada = Visitor(shop, "ada", "customer=ada")
    with ada.opens_stream().live() as stream:
        for number in (1, 2):
            assert 200 == shop.http.post(f"{shop.url}/orders/{number}?customer=ada").status_code
        assert 402 == shop.http.post(f"{shop.url}/orders/1/pay?card=empty").status_code
        paid = shop.http.post(f"{shop.url}/orders/2/pay?card=full")
        assert 200 == paid.status_code, paid.text
        assert "Order 2 is paid." == stream.until("new_message").data["text"]
        for number in (2, 1):  # the other one a second time
            assert 200 == shop.http.post(f"{shop.url}/orders/{number}/pay?card=full").status_code
        assert "Order 1 is paid." == stream.until("new_message").data["text"]
    assert "paid-2" == paid.text.strip('"')
    shop.stop()


@pytest.mark.parametrize("module", APPLICATIONS)
def test_direct_messages_are_at_most_ten_lines_of_an_example(module: str) -> None:
    """These lines are an application's addition to its own code."""
    text = (EXAMPLES / f"{module}.py").read_text(encoding="utf-8")
    before, ours = text.split("# direct messages\n")
    ours, after = ours.split("# end\n")
    assert "tidings" not in before.replace("import", "").lower()
    assert "tidings" not in after.lower()
    assert 0 < len([line for line in ours.splitlines() if line.strip()]) <= 10


def test_the_notebook_runs_from_top_to_bottom(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice: its cells may be run again. Each cell's last line gives what it shows, as a notebook has it."""
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [] == [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    monkeypatch.setenv("TIDINGS_URL", alice.node.url)
    monkeypatch.setenv("TIDINGS_TOKEN", alice.token or "")

    async def run() -> list[Any]:
        names: dict[str, Any] = {}
        shown = []
        for cell in cells:
            *statements, last = ast.parse(cell).body
            await evaluate(ast.Module(statements, []), "exec", names)
            is_value = isinstance(last, ast.Expr)
            whole = ast.Expression(last.value) if isinstance(last, ast.Expr) else ast.Module([last], [])
            shown.append(await evaluate(whole, "eval" if is_value else "exec", names))
        return shown

    for _ in range(2):
        shown = asyncio.run(asyncio.wait_for(run(), 30))
        texts = ["Your report is ready.", "And here is its summary."]
        assert {"ben": 0} == shown[2]
        assert (alice.id, texts[0]) == shown[3][0]
        assert texts[1] == shown[4]
    assert [*texts, texts[1]] == [message["text"] for message in alice.history("ben")["messages"]]


async def evaluate(code: ast.Module | ast.Expression, mode: str, names: dict[str, Any]) -> Any:
    """Run it with ``await`` at the top, as notebooks do."""
    value = eval(compile(code, "cell", mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    return await value if inspect.iscoroutine(value) else value
