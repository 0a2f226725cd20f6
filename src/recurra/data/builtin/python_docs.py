"""The data set python-docs: the text of Python's own documentation, which every CPython carries."""


def python_docs() -> list[str]:
    """The English text of the documentation, each paragraph once.

    Its topics share whole sections; without repetitions no test text occurs in training.
    """
    from pydoc_data.topics import topics

    paragraphs = (paragraph for name in sorted(topics) for paragraph in topics[name].strip().split("\n\n"))
    unique = dict.fromkeys(paragraph.strip("\n") for paragraph in paragraphs)
    return ["\n\n".join(unique) + "\n"]
