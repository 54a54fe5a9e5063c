"""Link against liblmdb.so.0 of liblmdb-wheel, by SONAME, without RPATH; one wheel for every CPython with a GIL."""

from setuptools import Extension, setup

import liblmdb_wheel

ENGINE = "0.9"

setup(
    ext_modules=[
        Extension(
            "lmdb_count._count",
            sources=["_count.c"],
            include_dirs=[str(liblmdb_wheel.include_dir(ENGINE))],
            library_dirs=[str(liblmdb_wheel.library_dir())],
            extra_link_args=["-l:" + liblmdb_wheel.engines()[ENGINE].soname],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
