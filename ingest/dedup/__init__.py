"""Text → fingerprint; fingerprints → links → clusters, and what was rewritten from what.

    fingerprints   a sample of the hashes of a text's character 9-shingles, and the numbers that it states
    Scene          the stories around what is published, indexed by shingle, kept from one slice to the next
    judge_change   which stories around a change belong together, as the difference to the links that are known
    CloseLook      what two stories that are suspected to belong together are to each other, by their whole texts
    touched        whose clusters that changes, followed through the links as far as they reach
    clusters       connected components of the links between the same stories, and the lead of each
    rewritten      which story each was made from

Two stories are linked when all of this holds:

1. Their instants are at most `NEAR` apart.
2. They are suspects: at least `SUSPECT` of the smaller one's sample, and `FEWEST` shingles, stand in the other one's,
   where boilerplate does not count: a shingle that more than `COMMON` stories have. Time is cut into stretches of
   `NEAR`, and stories are counted in that of each of the two, the one before it and the one after it; exact copies
   count once a stretch: a story that five hundred sites carry unchanged is not boilerplate.
3. No exact copy of either stands between them, in the order of instant and id. Where two stories have many copies
   only neighbours are linked: the components are the same, and three thousand copies cost three thousand links, not
   four and a half million.
4. They are exact copies as far as their fingerprints tell, or a close look says that they are the same story, or that
   one is another text made from the other.

Stories that are mostly boilerplate are suspects of those next to them in chains as well: see syndicated.py.

Each of the first three looks at the stories as they are now, in the stretches of the pair and those beside them; the
last at nothing but the two texts and the hours between them. So the links are a function of what the store holds,
whatever came first. A change in one stretch can make shingles boilerplate one stretch away, and change verdicts on
pairs whose other story is two away; to count the boilerplate of that one takes the third.

Why containment of sampled shingles: it finds a story that was cut or grown, where Jaccard and MinHash bands do not. Why
a close look: the sample finds practically all pairs (of 12,529 measured ones of copies it misses one), but it cannot
tell a copy from a follow-up that quotes half of it, nor from last week's report by the same template.
"""

from ingest.dedup.clusters import clusters, rewritten, touched
from ingest.dedup.fingerprint import VERSION, fingerprints
from ingest.dedup.judge import Suspect, judge, judge_change
from ingest.dedup.look import CloseLook
from ingest.dedup.scene import Scene
from ingest.dedup.verdicts import COMMON, NEAR, Verdicts

__all__ = [
    "COMMON",
    "NEAR",
    "VERSION",
    "CloseLook",
    "Scene",
    "Suspect",
    "Verdicts",
    "clusters",
    "fingerprints",
    "judge",
    "judge_change",
    "rewritten",
    "touched",
]
