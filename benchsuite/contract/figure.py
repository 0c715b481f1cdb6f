"""A report figure: a class that draws something of a finished run, with the caption that stands below it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

    from benchsuite.results import Run

    Drawing = MplFigure | Sequence[MplFigure] | Mapping[str, MplFigure] | None

Need = Literal["atoms", "truth"]


class Figure(ABC):
    """Base of all figures of a report (`figures:` in a scenario).

    title: a noun phrase for lists.
    caption: what the figure shows, in sentences that stand alone.
    reference: where figures of this kind were first shown, empty where nowhere.
    needs: what a run must have for the figure to be drawn. atoms: traced atoms; truth: the true atoms.
    default: whether it is drawn in reports of scenarios that do not list their figures.
    order: place among those; lower comes earlier.
    """

    title: ClassVar[str]
    caption: ClassVar[str]
    reference: ClassVar[str] = ""
    needs: ClassVar[frozenset[Need]] = frozenset()
    default: ClassVar[bool] = True
    order: ClassVar[int] = 1000

    @abstractmethod
    def draw(self, run: Run) -> Drawing:
        """Return a matplotlib figure, a list of several, a mapping from a short name to each, or None for nothing to show.

        The fonts, sizes and colours of the house style are set while it runs; figures are made with `matplotlib.figure.Figure`,
        not with pyplot. What it raises is shown in place of the figure.
        """

    def caption_for(self, run: Run) -> str:
        """Return the caption for a run, where it depends on what the run has."""
        return self.caption
