"""What a check of a kernel found: one Finding for each fault, with file and line."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """A fault at `where`, file:line.

    kind: compile, refused, not chosen, race, bounds, type, barrier, uninitialised, fault, unwritten, nan,
    value, input, order, gradient, reference (of the op).
    """

    kind: str
    where: str
    message: str
    case: str = ""

    def __str__(self) -> str:
        case = f" [{self.case}]" if self.case else ""
        return f"{self.where}: {self.kind}{case}: {self.message}".replace("\n", "\n    ").rstrip()


@dataclass
class KernelReport:
    """The outcome for one kernel. `refused`: cases that supports() does not take, with its reasons."""

    kernel: str
    op: str
    device: str
    origin: str
    ran: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.findings

    def add(self, kind: str, where: str, message: str, case: str = "") -> None:
        finding = Finding(kind, where, message, case)
        # One line of a kernel that goes wrong does so in every case and schedule.
        if not any(
            (f.kind, f.where) == (kind, where) and f.message[:20] == message[:20] for f in self.findings
        ):
            self.findings.append(finding)

    def __str__(self) -> str:
        verdict = "passed" if self.passed else f"{len(self.findings)} findings"
        head = f"{self.device} kernel {self.kernel} of {self.op} ({self.origin}): "
        head += f"{len(self.ran)} cases, {verdict}"
        lines = [f"  {f}" for f in self.findings]
        lines += [f"  case {case} is not for it: {why}" for case, why in self.refused]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join([head, *lines])
