"""Text → fingerprint; fingerprints → links → clusters.

    fingerprints   a sample of the hashes of a text's character 9-shingles, and the numbers that it states
    judge          which stories around a change are the same, as the difference to the links that are known
    touched        whose clusters that changes, followed through the links as far as they reach
    clusters       connected components of the links, and the lead of each

Two stories are the same when all of this holds:

1. Their instants are at most `NEAR` apart.
2. At least `SHARE` of the smaller one's sample, and `FEWEST` shingles, stand in the other one's, where a shingle that
   many stories have does not count. Stories are counted from `NEAR` before the earlier to `NEAR` after the later of
   the two, exact copies as one: a story that five hundred sites carry unchanged is not boilerplate. "Many" is one in
   `Many.one_in` of the stories there, but at least `frequent`, at most `common`.
   Or: at least `ALMOST_ALL`, where only what more than `common` have does not count. In a quiet week a wire story that
   thirty sites carry with a footer of their own would else be boilerplate itself.
3. Of the numbers of the one that states fewer, if it states `NUMBERS` or more, at least half stand in the other.
4. No exact copy of either stands between them, in the order of instant and id. Where two stories have many copies
   only neighbours are linked: the components are the same, and three thousand copies cost three thousand links, not
   four and a half million.

Each of these looks at nothing that is farther than `NEAR` from the pair, and at the stories as they are now. So the
links are a function of what the store holds, whatever came first, and a change at an instant can only change the
verdict on pairs of which the earlier stands at most 2 × `NEAR` before it and the later at most 2 × `NEAR` after it.
To count their boilerplate, `REACH` around the change has to be read.

Why containment of sampled shingles: it finds a story that was cut or grown, where Jaccard and MinHash bands do not.
`Many` and `ALMOST_ALL` were chosen among some eighty settings on the halves of the measured sets that are
open to development; no figure below was taken on the halves that are held back.
"""

from ingest.dedup.clusters import clusters, touched
from ingest.dedup.fingerprint import VERSION, fingerprints
from ingest.dedup.judge import judge
from ingest.dedup.verdicts import MANY, NEAR, REACH, Many, Verdicts, reach, together

__all__ = [
    "MANY",
    "NEAR",
    "REACH",
    "VERSION",
    "Many",
    "Verdicts",
    "clusters",
    "fingerprints",
    "judge",
    "reach",
    "together",
    "touched",
]
