"""Topics of prompts by their words: TF-IDF and k-means, no other model; a topic is named by its weightiest words."""

import warnings
from collections.abc import Sequence

import numpy as np

from judge.records import Conversation, spoken

FEWEST = 60
"""Comparisons a topic on average; fewer make fewer topics."""

MOST_TOPICS = 8
FEATURES = 2000
NAMED_BY = 3


def topics_of(prompts: Sequence[Conversation], *, seed: int) -> list[str]:
    """The topic of each prompt; none where there are too few prompts or no words to tell them apart."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer

    count = min(MOST_TOPICS, len(prompts) // FEWEST)
    texts = [spoken(prompt) for prompt in prompts]
    distinct = sorted(set(texts))
    if count < 2 or len(distinct) < 2 * count:
        return []
    vectorizer = TfidfVectorizer(
        max_features=FEATURES, stop_words="english", token_pattern=r"(?u)\b[^\W\d]\w+\b", max_df=0.5, min_df=2
    )
    try:
        vectors = vectorizer.fit_transform(distinct)
    except ValueError:  # no word stands in two prompts and in less than half of them
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different prompts than topics
        clusters = KMeans(count, n_init=4, random_state=seed).fit(vectors)
    words = vectorizer.get_feature_names_out()
    names = [
        ", ".join(words[place] for place in np.argsort(-center, kind="stable")[:NAMED_BY] if center[place] > 0)
        for center in clusters.cluster_centers_
    ]
    topic = {text: names[label] or "other" for text, label in zip(distinct, clusters.labels_, strict=True)}
    return [topic[text] for text in texts]
