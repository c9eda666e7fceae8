"""local.py SCRIPT ARGUMENT...: runs a KServe server on 127.0.0.1; by itself it takes every address of the machine."""

import runpy
import sys

import uvicorn

init = uvicorn.Config.__init__


def on_loopback(self, *args, **kwargs):
    kwargs["host"] = "127.0.0.1"
    init(self, *args, **kwargs)


uvicorn.Config.__init__ = on_loopback
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
