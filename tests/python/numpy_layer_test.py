"""The layer for NumPy arrays gives what one process gives that has the whole batch."""
from support import ONE_EACH, ONE_EMPTY, TOLERANCE, UNEVEN, RanksTest, input_gradient, main, normalized

import numpy as np

import lockstep

CHANNELS = 5
# Shapes behind the number of samples: with channels first.
INNER = {"2-D": (), "3-D": (7,), "4-D": (3, 4), "5-D": (2, 3, 2)}


def draw(samples, inner, dtype, seed=1):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(samples, CHANNELS, *inner))
    x *= generator.uniform(0.5, 3, CHANNELS).reshape(-1, *[1] * len(inner))
    return (x + generator.normal(size=x.shape[1])[(...,) + (None,) * len(inner)]).astype(dtype)


def in_memory(x, order):
    """The same values with the channels elsewhere in memory."""
    if order == "as it is":
        return np.ascontiguousarray(x)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 2 else np.asfortranarray(x)


def order_of(x):
    """The strides that matter."""
    return [stride for stride, extent in zip(x.strides, x.shape) if extent > 1 and x.size > 0]


class NumpyLayer(RanksTest):
    def test_every_shape_type_and_order_equals_the_whole_batch(self):
        for dtype in ("float32", "float64"):
            for name, inner in INNER.items():
                for order in ("as it is", "the other one"):
                    for samples in (UNEVEN, ONE_EMPTY, ONE_EACH):
                        with self.subTest(dtype=dtype, shape=name, order=order, samples=samples):
                            self.compare(samples, inner, np.dtype(dtype), order)

    def compare(self, samples, inner, dtype, order):
        tolerance = TOLERANCE[dtype.name]
        layer = lockstep.SyncBatchNorm(CHANNELS, self.comm, dtype, momentum=0.25)
        layer.gamma[:], layer.beta[:] = np.linspace(-1, 2, CHANNELS), np.linspace(3, 1, CHANNELS)
        total = self.total(samples)
        running_mean, running_var = np.zeros(CHANNELS), np.ones(CHANNELS)
        for step in range(2):
            x, dz = (draw(total, inner, dtype, 10 * step + i) for i in range(2))
            mine, own_dz = (in_memory(self.mine(samples, values), order) for values in (x, dz))
            layer.zero_gradients()
            z, saved = layer.forward(mine)
            dx = layer.backward(mine, own_dz, saved)

            hat, inverse, mean, variance = normalized(x)
            shape = (-1, *[1] * len(inner))
            expected = hat * layer.gamma.astype(float).reshape(shape) + layer.beta.astype(float).reshape(shape)
            self.close(z, self.mine(samples, expected), tolerance, "z")
            self.assertEqual(z.dtype, dtype)
            self.assertEqual(order_of(z), order_of(mine))
            self.close(dx, self.mine(samples, input_gradient(x, dz, layer.gamma)), tolerance * max(1, inverse.max()),
                       "dx")  # of values whose variance is 0 it is 316 times their rounding
            axes = tuple(i for i in range(x.ndim) if i != 1)
            own_hat = self.mine(samples, hat)
            self.close(layer.gamma_gradient, (own_dz * own_hat).sum(axes), 10 * tolerance, "dγ")
            self.close(layer.beta_gradient, own_dz.astype(float).sum(axes), 10 * tolerance, "dβ")

            count = x.size / CHANNELS
            running_mean += 0.25 * (mean - running_mean)
            if count > 1:
                running_var += 0.25 * (variance * count / (count - 1) - running_var)
            self.close(layer.running_mean, running_mean, tolerance, "running mean")
            self.close(layer.running_var, running_var, tolerance, "running variance")
            self.assertEqual(saved.count(), count)
            self.close(saved.mean(), mean, tolerance)
            self.close(saved.variance(), variance, tolerance)
        inferred = layer.infer(mine)
        at = (np.asarray(mine, float) - running_mean.reshape(shape)) / np.sqrt(running_var.reshape(shape) + 1e-5)
        self.close(inferred, at * layer.gamma.astype(float).reshape(shape) + layer.beta.astype(float).reshape(shape),
                   tolerance, "infer")

    def test_channels_last(self):
        x = draw(self.total(UNEVEN), (3, 4), np.float64)
        first, last = (lockstep.SyncBatchNorm(CHANNELS, self.comm, np.float64, channels_last=flag) for flag in (False, True))
        mine = self.mine(UNEVEN, x)
        z, saved = first.forward(mine)
        expected = np.moveaxis(z, 1, -1)
        for own in (np.ascontiguousarray(np.moveaxis(mine, 1, -1)), np.moveaxis(mine, 1, -1)):
            got, moments = last.forward(own)
            self.close(got, expected, 1e-14)
            self.assertEqual(order_of(got), order_of(own))
            self.close(last.backward(own, own, moments), np.moveaxis(first.backward(mine, mine, saved), 1, -1), 1e-13)

    def test_synchronized_is_not_local(self):
        x = draw(self.total(UNEVEN), (), np.float64)
        mine = self.mine(UNEVEN, x)
        local = lockstep.SyncBatchNorm(CHANNELS, lockstep.Communicator.self(), np.float64)
        synchronized = lockstep.SyncBatchNorm(CHANNELS, self.comm, np.float64)
        difference = np.abs(local.forward(mine)[0] - synchronized.forward(mine)[0]).max()
        self.assertEqual(difference > 1e-3, self.several)

    def test_all_empty_changes_nothing(self):
        layer = lockstep.SyncBatchNorm(CHANNELS, self.comm)
        empty = np.empty((0, CHANNELS, 3), np.float32)
        z, saved = layer.forward(empty)
        self.assertEqual(z.shape, empty.shape)
        self.assertEqual(layer.backward(empty, empty, saved).shape, empty.shape)
        self.assertEqual(layer.batches_tracked, (0, 0))
        self.assertTrue((layer.running_mean == 0).all() and (layer.running_var == 1).all())
        self.assertTrue((layer.gamma_gradient == 0).all() and (layer.beta_gradient == 0).all())

    def test_relu_in_the_same_pass(self):
        x, dz = (draw(self.total(UNEVEN), (4,), np.float64, seed) for seed in (3, 4))
        mine, own_dz = (self.mine(UNEVEN, values) for values in (x, dz))
        plain, fused = (lockstep.SyncBatchNorm(CHANNELS, self.comm, np.float64, activation=a) for a in (None, "relu"))
        for layer in (plain, fused):
            layer.beta[:] = 0.3
        z, saved = plain.forward(mine)
        z_fused, saved_fused = fused.forward(mine)
        self.close(z_fused, np.maximum(z, 0), 1e-15)
        self.assertTrue(0 < (z_fused == 0).mean() < 1)
        self.close(fused.backward(mine, own_dz, saved_fused), plain.backward(mine, np.where(z > 0, own_dz, 0), saved), 1e-13)
        self.close(fused.gamma_gradient, plain.gamma_gradient, 1e-13)

    def test_threads_give_the_same_bits(self):
        samples = (40, 0, 33, 64)
        x, dz = (self.mine(samples, draw(self.total(samples), (30, 30), np.float32, seed)) for seed in (5, 6))
        results = []
        for threads in (None, 1, 2, 3):
            layer = lockstep.SyncBatchNorm(CHANNELS, self.comm, threads=threads)
            z, saved = layer.forward(x)
            results.append((z, layer.backward(x, dz, saved), layer.infer(x), layer.gamma_gradient, layer.running_var))
        for other in results[1:]:
            self.assertTrue(all((a == b).all() for a, b in zip(results[0], other, strict=True)))
        with self.raises(lockstep.UsageError, "at least one thread"):
            lockstep.SyncBatchNorm(CHANNELS, self.comm, threads=0)

    def test_plain_averages_and_layers_without_parameters(self):
        layer = lockstep.SyncBatchNorm(CHANNELS, self.comm, np.float64, momentum=None, affine=False)
        means = []
        for seed in range(3):
            x = draw(self.total(UNEVEN), (4,), np.float64, seed)
            layer.forward(self.mine(UNEVEN, x))
            means.append(normalized(x)[2])
        self.close(layer.running_mean, np.mean(means, 0), 1e-13)
        self.assertEqual(layer.batches_tracked, (3, 3))
        self.assertEqual(set(layer.state()), {"running_mean", "running_var", "num_batches_tracked"})


if __name__ == "__main__":
    main()
