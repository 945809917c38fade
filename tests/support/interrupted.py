"""Ctrl-C at a line that a test chooses."""

import itertools
import sys

import fastgd as gd


def interrupted_at_line(number, path, call, deferring):
    """Whether Ctrl-C came, as it does at the line of this number that runs in this file.

    deferring : functions that are called where SIGINT is deferred, which a raised error knows nothing of
    """
    lines = itertools.count()

    def trace(frame, event, _):
        if frame.f_code.co_filename != path or frame.f_code.co_name in deferring:
            return None
        if event == "line" and next(lines) == number:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    except gd.DivergenceError:
        return False
    finally:
        sys.settrace(before)
    return False
