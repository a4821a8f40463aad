"""The screen of `outerloop review`: one case at a time, and a key for each verdict.

A verdict that needs a reason asks for it in the last line; Enter sends it, Escape takes it back.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

import click
from rich.text import Text
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Header, Input, Static

from outerloop.cli.came import Sent
from outerloop.cli.cases import Case, proof_of, run_of, words_of
from outerloop.cli.output import clean
from outerloop.cli.verdicts import DONE, say
from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    REVIEW_EDIT,
    REVIEW_MUTE,
    REVIEW_NOT_A_FAILURE,
    REVIEW_REJECT,
    Review,
)
from outerloop.runtime.errors import OuterloopError
from outerloop.store.evals import EvalRecord

Say = Callable[..., Awaitable[Sent]]
Edit = Callable[[str], str | None]

_VERDICTS: dict[str, Review] = {
    "accept": REVIEW_ACCEPT,
    "reject": REVIEW_REJECT,
    "nothing": REVIEW_NOT_A_FAILURE,
    "mute": REVIEW_MUTE,
    "edit": REVIEW_EDIT,
}


class Reviewing(App[None]):
    """Shows `cases` to the person `who`; `done` has a line for each verdict that was sent, in `sent`."""

    TITLE = "outerloop review"
    CSS = """
    #case { padding: 0 1; }
    #reason { dock: bottom; display: none; }
    #said { dock: bottom; height: 1; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("a", "judge('accept')", "Accept"),
        ("e", "edit", "Edit"),
        ("r", "judge('reject')", "Reject"),
        ("n", "judge('nothing')", "Not a failure"),
        ("m", "judge('mute')", "Mute"),
        ("right,s", "go(1)", "Next"),
        ("left,p", "go(-1)", "Previous"),
        ("escape", "take_back", "Back"),
        ("q", "quit", "Quit"),
    ]

    def __init__(
        self, cases: Sequence[Case], who: str, *, send: Say = say, editor: Edit | None = None
    ) -> None:
        super().__init__()
        self.done: list[str] = []
        self.sent: list[Sent] = []
        self._cases = list(cases)
        self._who = who
        self._send = send
        self._editor = editor or self._in_editor
        self._at = 0
        self._pending: tuple[Review, str] | None = None  # what waits for a reason, with the edited text

    def compose(self) -> ComposeResult:
        """The parts of the screen."""
        yield Header()
        yield VerticalScroll(Static(id="case"))
        yield Static(id="said")
        yield Input(id="reason", placeholder="why?")
        yield Footer()

    def on_mount(self) -> None:
        """Show the first case."""
        self._show()

    def action_go(self, step: int) -> None:
        """Another case, without a verdict."""
        if self._cases and self._pending is None:
            self._at = (self._at + step) % len(self._cases)
            self._show()

    async def action_judge(self, verdict: str) -> None:
        """A verdict: at once when it needs no reason, else after the reason."""
        if not self._cases or self._pending is not None:
            return
        if _VERDICTS[verdict] == REVIEW_ACCEPT:
            await self._judge(REVIEW_ACCEPT, "")
        else:
            self._ask(_VERDICTS[verdict])

    def action_edit(self) -> None:
        """The eval's text in the person's editor; what comes of it is sent with a reason."""
        if not self._cases or self._pending is not None:
            return
        was = self._record.eval_yaml
        text = self._editor(was)
        if text is None or text == was:
            self._tell("nothing was changed")
        else:
            self._ask(REVIEW_EDIT, text)

    def action_take_back(self) -> None:
        """No verdict after all."""
        self._close()
        self._tell("")

    async def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """The reason is given."""
        pending, reason = self._pending, submitted.value.strip()
        if pending is None:
            return
        if not reason:
            self._tell("say why, for those who come after; Escape takes it back")
            return
        self._close()
        await self._judge(pending[0], reason, pending[1])

    @property
    def _record(self) -> EvalRecord:
        return self._cases[self._at].record

    def _ask(self, verdict: Review, text: str = "") -> None:
        self._pending = (verdict, text)
        reason = self.query_one("#reason", Input)
        reason.value = ""
        reason.placeholder = f"{DONE[verdict]}: why?"
        reason.display = True
        reason.focus()

    def _close(self) -> None:
        self._pending = None
        self.query_one("#reason", Input).display = False
        self.set_focus(None)

    async def _judge(self, verdict: Review, reason: str, text: str = "") -> None:
        record = self._record
        try:
            sent = await self._send(record, verdict, who=self._who, reason=reason, eval_yaml=text)
        except OuterloopError as error:
            self._tell(str(error))
            return
        line = f"{DONE[verdict]}: {record.title}"
        self.done.append(line)
        self.sent.append(sent)
        del self._cases[self._at]
        self._at = min(self._at, max(0, len(self._cases) - 1))
        self._show()
        self._tell(line)
        if not self._cases:
            self.exit()

    def _show(self) -> None:
        if not self._cases:
            self.query_one("#case", Static).update("")
            return
        self.sub_title = f"{self._at + 1} of {len(self._cases)}, as {self._who}"
        self.query_one("#case", Static).update(_page(self._cases[self._at]))
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def _tell(self, sentence: str) -> None:
        self.query_one("#said", Static).update(Text(clean(sentence), style="italic"))

    def _in_editor(self, text: str) -> str | None:
        try:
            with self.suspend():
                return click.edit(text, extension=".yaml")
        except SuspendNotSupported:
            self._tell("there is no editor here: use `outerloop evals edit EVAL --file FILE --reason WHY`")
            return None


def _page(case: Case) -> Text:
    """A case as text: never as markup, for what came from production is data."""
    page = Text()
    record = case.record
    page.append(f"{clean(record.title)}\n", style="bold")
    page.append(f"{clean(record.agent)}, eval {record.eval_id[:8]}, try {record.tries}\n\n", style="dim")
    page.append("The failing run\n", style="bold")
    for line in run_of(case):
        mark = "▶ " if line.wrong else "  "
        page.append(f"{mark}{clean(line.text)}\n", style="bold red" if line.wrong else "")
    page.append("\nA good run\n", style="bold")
    for words in words_of(record):
        page.append(f"  • {clean(words)}\n")
    page.append("\nProof\n", style="bold")
    for sentence in proof_of(record):
        page.append(f"  • {clean(sentence)}\n")
    return page
