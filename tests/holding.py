"""All that hangs on an error, in which no secret may stand."""

import pickle
import traceback


def everything(error):
    """All texts of an error: its chain, its notes, what it is made of, and what it is when it is pickled."""
    seen, texts, left = set(), [], [error]
    while left:
        found = left.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        left += [found.__cause__, found.__context__, *(one for one in found.args if isinstance(one, BaseException))]
        texts += [str(found), repr(found), repr(found.args), repr(vars(found)), *getattr(found, "__notes__", [])]
    texts.append("".join(traceback.TracebackException.from_exception(error, capture_locals=False).format()))
    texts.append(pickle.dumps(error).decode(errors="replace"))
    return "\n".join(texts)
