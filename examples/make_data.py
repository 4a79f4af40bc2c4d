#!/usr/bin/env python3
"""Writes the data of the README's commands into a folder: what you would do with arrays of your own.

    python3 examples/make_data.py [FOLDER]

train.npy, labels.npy (and test.npy, test_labels.npy): 12 inputs, 3 classes. weather.h5 with /x and /y: 12 inputs, 2 values
to predict. new.npy: inputs of the latter kind whose values are not known. Needs NumPy, and h5py for weather.h5 (without it
the same arrays become weather_x.npy and weather_y.npy).
"""
import pathlib
import sys

import numpy as np


def classes(random, samples):
    """Three noisy, curved clouds that overlap, in 12 dimensions of very different scales."""
    labels = random.integers(0, 3, samples)
    angle = 2 * np.pi * labels / 3 + random.normal(0, 0.35, samples)
    inputs = random.normal(0, 1, (samples, 12))
    inputs[:, 0] += 2 * np.cos(angle)
    inputs[:, 1] += 2 * np.sin(angle)
    inputs[:, 2] += inputs[:, 0] * inputs[:, 1] / 2
    scales = np.geomspace(0.1, 1000, 12)
    return (inputs * scales).astype(np.float32), labels.astype(np.int64)


def weather(random, samples):
    """The pressure at 12 stations, and two values that depend on it, but for a little noise."""
    inputs = random.normal(0, 1, (samples, 12))
    values = np.stack([3 * inputs[:, 0] - 2 * inputs[:, 1] + np.sin(inputs[:, 2]),
                       inputs[:, 3] * inputs[:, 4] + inputs[:, 5]], axis=1)
    values += random.normal(0, 0.1, values.shape)
    return 101325 + 500 * inputs, values


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)

    for name, labels_name, samples in (("train", "labels", 6000), ("test", "test_labels", 1500)):
        inputs, labels = classes(random, samples)
        np.save(folder / f"{name}.npy", inputs)
        np.save(folder / f"{labels_name}.npy", labels)

    x, y = weather(random, 8000)
    try:
        import h5py
    except ImportError:
        print("no h5py here: --data weather_x.npy:weather_y.npy takes the place of weather.h5:/x:/y")
        np.save(folder / "weather_x.npy", x)
        np.save(folder / "weather_y.npy", y)
    else:
        with h5py.File(folder / "weather.h5", "w") as file:
            file.create_dataset("x", data=x, chunks=(256, 12), compression="gzip")
            file.create_dataset("y", data=y)
    np.save(folder / "new.npy", weather(random, 500)[0])


if __name__ == "__main__":
    main()
