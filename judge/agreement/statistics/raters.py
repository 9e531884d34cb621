"""Agreement among any number of raters, each of whom may have seen other rows.

Each statistic is a formula of sums over rows, so bootstrap.py serves it: `row_terms` gives one line of terms
a row, the functions below take the sums of those lines. n_ik raters put row i into class k; m_i = Σ_k n_ik.
Rows with fewer than two raters carry no agreement and are left out.
"""

import numpy as np

from judge.agreement.statistics.bootstrap import Floats
from judge.agreement.statistics.nominal import alpha as alpha_of
from judge.agreement.statistics.nominal import gwet


def row_terms(counts: Floats) -> Floats:
    """counts (N, L) -> terms (N, L·L + 2L + 2): coincidences Σ, n_ik, n_ik / m_i, P_i, 1."""
    counts = np.asarray(counts, dtype=np.float64)
    raters = counts.sum(axis=1)
    paired = (raters > 1).astype(np.float64)
    others = np.where(raters > 1, raters - 1, 1.0)[:, None]
    size = counts.shape[1]
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, range(size), range(size)] -= counts
    coincidence = (pairs / others[:, :, None]).reshape(len(counts), size * size)
    agreed = (counts * (counts - 1)).sum(axis=1) / np.where(raters > 1, raters * (raters - 1), 1.0)
    share = counts / np.where(raters > 0, raters, 1.0)[:, None]
    return np.asarray(np.column_stack([coincidence, counts, share, agreed, np.ones(len(counts))]) * paired[:, None])


def _size(sums: Floats) -> int:
    return int(np.sqrt(sums.shape[-1] - 1)) - 1  # L² + 2L + 2 = (L + 1)² + 1


def coincidence(sums: Floats) -> Floats:
    """(…, L, L): Krippendorff's o_ck = Σ_i n_ic (n_ik - [c = k]) / (m_i - 1)."""
    size = _size(sums)
    return sums[..., : size * size].reshape(*sums.shape[:-1], size, size)


def krippendorff_alpha(sums: Floats) -> Floats:
    """Nominal α over any number of raters with holes (Krippendorff 2011)."""
    return alpha_of(coincidence(sums))


def observed(sums: Floats) -> Floats:
    """The mean over rows of the share of pairs of raters who agree."""
    return sums[..., -2] / sums[..., -1]


def fleiss_kappa(sums: Floats) -> Floats:
    """κ = (P̄ - P_e) / (1 - P_e), P_e = Σ p_k², p_k the share of all labels (Fleiss 1971); rows may differ in the
    number of raters, as in Fleiss, Levin & Paik 2003, §18.3."""
    size = _size(sums)
    labels = sums[..., size * size : size * size + size]
    share = labels / labels.sum(axis=-1, keepdims=True)
    chance = (share**2).sum(axis=-1)
    return np.asarray((observed(sums) - chance) / (1 - chance))


def gwet_ac1(sums: Floats) -> Floats:
    """AC1 of many raters: π_k is the mean over rows of n_ik / m_i (Gwet 2008, §3)."""
    size = _size(sums)
    share = sums[..., size * size + size : size * size + 2 * size] / sums[..., -1:]
    return gwet(observed(sums), share)
