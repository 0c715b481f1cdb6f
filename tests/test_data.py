"""Data types: what they say of themselves."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from benchsuite.data import NON_ATOM, is_atom


def test_is_atom_leaves_spurious_peaks_out():
    assert is_atom(Atoms([NON_ATOM, "Au", NON_ATOM, "Cu"], np.eye(4)[:, :3])).tolist() == [False, True, False, True]
    assert is_atom(Atoms()).tolist() == []
