"""Exchanges safetensors, .npy and .npz files with Python's own packages, both ways.

Reads BURROW_BIN, the directory of the built programs. Exits with 77, which ctest reports as skipped, where
Python lacks numpy or safetensors, or the program of the tests is not built.
"""

import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

ARRAYS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4) / 2,
    "long": np.array([-1 << 40]),
    "double": np.array([1.0, 1e-300]),
    "flag": np.array([True, False]),
    "byte": np.array([1, 2, 3], np.uint8),
    "short": np.array([65535], np.uint16),
    "int": np.array(-5, np.int32),
    "half": np.array([0.5], np.float16),
    "empty": np.zeros((0, 7), np.float32),
    "zeros": np.zeros(100_000),
}


def run(program, directory, test):
    environment = {**os.environ, "BURROW_EXCHANGE": directory}
    subprocess.run([program, test], check=True, env=environment)


def check_reading_burrow(program, directory):
    run(program, directory, "write a safetensors file for Python")
    path = os.path.join(directory, "from_burrow.safetensors")
    with safe_open(path, framework="np") as file:
        assert file.metadata() == {"writer": "burrow"}, file.metadata()
        names = set(file.keys())
        # NumPy has no bfloat16: that tensor is looked at, but not loaded.
        half = file.get_slice('half "quoted" \u00e9')
        assert half.get_dtype() == "BF16" and half.get_shape() == [2]
        expected = {
            "mask": np.array([True, False, True]),
            "blocks.0.weight": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
            "scale": np.array([[1.5], [-2.25], [1e300]]),
            "step": np.array([-1, 1 << 40]),
            "scalar": np.array(-7, np.int32),
            "tokens": np.array([65535, 1, 2], np.uint16),
            "bytes": np.array([0, 255, 7], np.uint8),
            "empty": np.zeros((0, 4), np.float32),
            "f16": np.array([65535, 1, 2], np.uint16).view(np.float16),
        }
        assert names == set(expected) | {'half "quoted" \u00e9'}, names
        for name, array in expected.items():
            read = file.get_tensor(name)
            assert read.dtype == array.dtype and read.shape == array.shape, name
            assert read.tobytes() == array.tobytes(), name


def check_writing_for_burrow(program, directory):
    path = os.path.join(directory, "from_python.safetensors")
    tensors = {
        "matrix": np.arange(12, dtype=np.float32).reshape(3, 4) / 2,
        "long": np.array([-1 << 40]),
        "double": np.array([1.0, 1e-300]),
        "flag": np.array([True]),
        "byte": np.array([1, 2, 3], np.uint8),
        "short": np.array([65535], np.uint16),
        "int": np.array([-5], np.int32),
        "half": np.array([0.5], np.float16),
        "empty": np.zeros((0, 7), np.float32),
    }
    save_file(tensors, path, metadata={"writer": "python"})
    assert set(load_file(path)) == set(tensors)
    run(program, directory, "read the safetensors file that Python wrote")


def check_npz_from_burrow(program, directory):
    run(program, directory, "write an npz file for Python")
    with np.load(os.path.join(directory, "from_burrow.npz")) as file:
        assert set(file) == set(ARRAYS), set(file)
        for name, array in ARRAYS.items():
            read = file[name]
            assert read.dtype == array.dtype and read.shape == array.shape, name
            assert read.tobytes() == array.tobytes(), name
    read = np.load(os.path.join(directory, "from_burrow.npy"))
    assert read.dtype == np.float32 and np.array_equal(read, ARRAYS["matrix"])


def check_npz_for_burrow(program, directory):
    np.save(os.path.join(directory, "from_python.npy"), ARRAYS["matrix"])
    np.savez(os.path.join(directory, "stored.npz"), **ARRAYS)
    np.savez_compressed(os.path.join(directory, "deflated.npz"), **ARRAYS)
    run(program, directory, "read the npz files that Python wrote")


if __name__ == "__main__":
    test_io = os.path.join(os.environ["BURROW_BIN"], "tests", "test_io")
    if not os.path.exists(test_io):
        print(f"skipped: {test_io} is not built")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as exchange:
        check_reading_burrow(test_io, exchange)
        check_writing_for_burrow(test_io, exchange)
        check_npz_from_burrow(test_io, exchange)
        check_npz_for_burrow(test_io, exchange)
