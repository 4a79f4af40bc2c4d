"""What else the layer for NumPy arrays does: in place, in halves, in slices, with replicas and groups, and its state."""
from support import UNEVEN, RanksTest, main, normalized

import gc

import numpy as np

import lockstep

CHANNELS = 3


def draw(samples, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).normal(1, 2, (samples, CHANNELS, 6)).astype(dtype)


class Passes(RanksTest):
    def setUp(self):
        super().setUp()
        total = self.total(UNEVEN)
        self.x, self.dz = (self.mine(UNEVEN, draw(total, seed)).copy() for seed in (1, 2))

    def layer(self, **options):
        return lockstep.SyncBatchNorm(CHANNELS, options.pop("comm", self.comm), np.float64, **options)

    def both(self, layer):
        z, saved = layer.forward(self.x)
        return z, layer.backward(self.x, self.dz, saved)

    def test_in_place(self):
        z, dx = self.both(self.layer())
        layer = self.layer()
        x = self.x.copy()
        out, _ = layer.forward(x, out=x)
        self.assertIs(out, x)
        self.assertTrue((x == z).all())
        for target in ("dz", "x", "new"):
            layer, x, dz = self.layer(), self.x.copy(), self.dz.copy()
            _, saved = layer.forward(x)
            out = {"dz": dz, "x": x, "new": np.empty_like(x)}[target]
            self.assertIs(layer.backward(x, dz, saved, out=out), out)
            self.assertTrue((out == dx).all(), target)
        x = self.x.copy()
        expected = layer.infer(x)
        self.assertIs(layer.infer(x, out=x), x)
        self.assertTrue((x == expected).all())

    def test_in_halves(self):
        z, dx = self.both(self.layer())
        first, second = self.layer(name="first"), self.layer(name="second")
        first.begin_forward(self.x)
        second.begin_forward(self.x)  # two layers' passes are under way
        first.poll()
        z_second, saved_second = second.end_forward()
        z_first, saved_first = first.end_forward()
        self.assertTrue((z_first == z).all() and (z_second == z).all())
        first.begin_backward(self.x, self.dz, saved_first)
        second.begin_backward(self.x, self.dz, saved_second)
        while not second.poll():
            pass
        self.assertTrue((second.end_backward() == dx).all() and (first.end_backward() == dx).all())
        with self.raises(lockstep.UsageError, "end_forward without begin_forward"):
            first.end_forward()

    def test_two_forwards_before_their_backwards(self):
        layer = self.layer()
        other = self.x[::-1].copy() * 3
        _, saved = layer.forward(self.x)
        _, saved_other = layer.forward(other)
        dx_other, dx = layer.backward(other, self.dz, saved_other), layer.backward(self.x, self.dz, saved)
        self.assertTrue((dx == self.both(self.layer())[1]).all())
        alone = self.layer()
        self.assertTrue((dx_other == alone.backward(other, self.dz, alone.forward(other)[1])).all())

    def test_parameters_alone(self):
        layer, whole = self.layer(), self.layer()
        _, saved = layer.forward(self.x)
        layer.backward_parameters(self.x, self.dz, saved)
        self.both(whole)
        self.assertTrue((layer.gamma_gradient == whole.gamma_gradient).all())
        self.assertTrue((layer.beta_gradient == whole.beta_gradient).all())

    def parts(self, seed):
        """Of six replicas."""
        return [draw(samples, seed + i) for i, samples in enumerate((2, 1, 4, 0, 3, 2))]

    def test_replicas_have_the_same_bits_on_any_number_of_ranks(self):
        for group in (None, 1, 3):
            parts, gradients = self.parts(5), self.parts(50)
            alone = self.layer(comm=lockstep.Communicator.self(), replicas=6, group=group)
            zs, saved = alone.forward_slices(parts)
            dxs, parameters = alone.backward_slices(parts, gradients, saved)

            layer = self.layer(replicas=6, group=group)
            here = slice(6 * self.comm.rank // self.comm.size, 6 * (self.comm.rank + 1) // self.comm.size)
            self.assertEqual(layer.hosted_replicas, here.stop - here.start)
            own_zs, saved = layer.forward_slices(parts[here])
            own_dxs, own_parameters = layer.backward_slices(parts[here], gradients[here], saved)
            for mine, expected in ((own_zs, zs[here]), (own_dxs, dxs[here])):
                self.assertTrue(all((a == b).all() for a, b in zip(mine, expected, strict=True)))
            self.assertTrue((own_parameters == parameters[here]).all())
            if group is None:
                self.assertTrue((layer.running_var == alone.running_var).all())

    def test_from_local_to_synchronized_and_back(self):
        z, _ = self.both(self.layer())
        layer = self.layer(comm=lockstep.Communicator.self())
        local, _ = layer.forward(self.x)
        layer.change_communicator(self.comm)
        self.assertTrue((layer.forward(self.x)[0] == z).all())
        layer.change_communicator(lockstep.Communicator.self())
        self.assertTrue((layer.forward(self.x)[0] == local).all())

    def test_pooled_running_averages(self):
        layer = self.layer(comm=lockstep.Communicator.self())
        layer.running_mean[:], layer.running_var[:] = self.comm.rank, 2
        layer.synchronize_running_averages(self.comm, weight=1 + self.comm.rank)
        weights = np.arange(1, self.comm.size + 1)
        ranks = np.arange(self.comm.size)
        mean = (weights * ranks).sum() / weights.sum()
        self.close(layer.running_mean, np.full(CHANNELS, mean), 1e-14)
        self.close(layer.running_var, np.full(CHANNELS, 2 + (weights * (ranks - mean) ** 2).sum() / weights.sum()), 1e-14)

    def test_precise_statistics(self):
        """However the data are cut into batches, the statistics are the same."""
        data = draw(128 * self.comm.size, 9)
        _, _, mean, variance = normalized(data)
        n = data.size / CHANNELS
        for cuts in ([128], [2, 2, 4, 8, 16, 32, 64]):
            for local in (False, True):
                layer = self.layer(comm=lockstep.Communicator.self() if local else self.comm)
                precise = lockstep.PreciseStatistics(layer)
                begin = 128 * self.comm.rank
                for size in cuts:
                    layer.forward(data[begin:begin + size])
                    precise.add()
                    begin += size
                batches = len(cuts) * (self.comm.size if local else 1)
                with self.raises(lockstep.Error, "batches"):
                    precise.finish(batches + 1, self.comm if local else None)
                precise.finish(batches, self.comm if local else None)
                self.close(layer.running_mean, mean, 1e-12)
                self.close(layer.running_var, variance * n / (n - 1), 1e-12)

    def test_frozen(self):
        layer = self.layer()
        layer.forward(self.x)
        layer.freeze()
        before = layer.state()
        z, saved = layer.forward(self.x)
        self.assertTrue(layer.frozen)
        self.assertEqual(saved.count(), 0)
        self.close(z, layer.infer(self.x), 1e-14)
        dx = layer.backward(self.x, self.dz, saved)
        self.close(dx, self.dz / np.sqrt(layer.running_var + 1e-5)[:, None], 1e-14)
        self.assertTrue(all((values == layer.state()[name]).all() for name, values in before.items()))
        layer.freeze(False)
        self.assertTrue((layer.forward(self.x)[0] == self.both(self.layer())[0]).all())

    def test_options_changed_later(self):
        layer = self.layer()
        layer.set_eps(0.5)
        layer.set_momentum(1.0)
        self.assertEqual((layer.eps, layer.momentum), (0.5, 1.0))
        z, saved = layer.forward(self.x)
        whole = draw(self.total(UNEVEN), 1)
        self.close(z, self.mine(UNEVEN, normalized(whole, 0.5)[0]), 1e-13)
        self.close(layer.running_mean, saved.mean(), 1e-14)
        layer.set_momentum(None)
        self.assertIsNone(layer.momentum)

    def test_state(self):
        layer = self.layer()
        self.both(layer)
        layer.gamma[:] = 7
        state = layer.state()
        other = self.layer()
        other.load_state(state)
        self.assertTrue((other.infer(self.x) == layer.infer(self.x)).all())
        self.assertEqual(other.batches_tracked, (1, 1))
        layer.gamma[:] = 8
        self.assertTrue((state["weight"] == 7).all(), "a state is a copy")
        other.load_state({**state, "num_batches_tracked": np.int64(5)})  # as PyTorch has it
        self.assertEqual(other.batches_tracked, (5, 5))
        with self.raises(lockstep.UsageError, "weight", "running_var"):
            other.load_state({"weight": state["weight"]})
        with self.raises(lockstep.UsageError, "bias", "(4,)"):
            other.load_state({**state, "bias": np.zeros(4)})

    def test_arrays_outlive_the_layer(self):
        layer = self.layer()
        gamma = layer.gamma
        gamma[:] = [1, 2, 3]
        del layer
        gc.collect()
        blocks = [np.empty(CHANNELS) for _ in range(1000)]  # would take freed memory
        for block in blocks:
            block[:] = -1
        self.assertEqual(gamma.tolist(), [1, 2, 3])

    def test_split_communicators(self):
        half = self.comm.split(self.comm.rank % 2, -self.comm.rank)
        members = [rank for rank in range(self.comm.size) if rank % 2 == self.comm.rank % 2][::-1]
        self.assertEqual((half.size, half.rank), (len(members), members.index(self.comm.rank)))
        layer = self.layer(comm=half)
        _, saved = layer.forward(self.x)
        self.assertEqual(saved.count(), sum(UNEVEN[rank] for rank in members) * 6)


if __name__ == "__main__":
    main()
