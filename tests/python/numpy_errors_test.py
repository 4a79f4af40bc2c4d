"""What the NumPy layer refuses, and what every rank is told if the ranks do not do the same."""
from support import RanksTest, main

import copy
import pickle

import numpy as np

import lockstep

CHANNELS = 3


class Arguments(RanksTest):
    """Refused before anything is exchanged: the layer is as it was."""

    def setUp(self):
        super().setUp()
        self.layer = lockstep.SyncBatchNorm(CHANNELS, self.comm)
        self.x = np.random.default_rng(self.comm.rank).normal(size=(4, CHANNELS, 5)).astype(np.float32)

    def tearDown(self):
        """It still works."""
        z, saved = self.layer.forward(self.x)
        self.layer.backward(self.x, z, saved)

    def test_arrays(self):
        refused = self.layer.forward
        with self.raises(lockstep.UsageError, "x", "float64", "float32", "astype"):
            refused(self.x.astype(np.float64))
        with self.raises(lockstep.UsageError, "x", ">f4"):
            refused(self.x.astype(">f4"))
        with self.raises(TypeError, "numpy.ndarray", "list"):
            refused([[1.0]])
        with self.raises(TypeError, "masked"):
            refused(np.ma.masked_array(self.x, self.x > 0))
        with self.raises(lockstep.UsageError, "at least samples and channels"):
            refused(self.x[0, :, 0].copy())
        with self.raises(lockstep.UsageError, "4 channels", "the layer 3"):
            refused(np.zeros((2, 4), np.float32))
        for strided in (self.x[:, :, ::2], self.x[::2], self.x.transpose(2, 1, 0)):
            with self.raises(lockstep.UsageError, "not contiguous", "ascontiguousarray"):
                refused(strided)
        unaligned = np.frombuffer(bytes(4 * 15 + 1), np.uint8)[1:].view(np.float32).reshape(5, 3)
        with self.raises(lockstep.UsageError, "multiple of its type's size"):
            refused(unaligned)

    def test_outputs(self):
        read_only = np.empty_like(self.x)
        read_only.flags.writeable = False
        buffer = np.zeros(self.x.size + 1, np.float32)
        x = buffer[:-1].reshape(self.x.shape)
        for out, words in ((np.empty((4, CHANNELS, 6), np.float32), "differ in shape"), (read_only, "read-only"),
                           (np.empty_like(self.x, dtype=np.float64), "float64"),
                           (np.moveaxis(np.empty((4, 5, CHANNELS), np.float32), 2, 1), "lie differently in memory"),
                           (buffer[1:].reshape(x.shape), "overlaps")):
            with self.raises(lockstep.UsageError, words):
                self.layer.forward(x, out=out)

    def test_gradients(self):
        z, saved = self.layer.forward(self.x)
        with self.raises(lockstep.UsageError, "differ in shape"):
            self.layer.backward(self.x, z[:3], saved)
        with self.raises(lockstep.UsageError, "lie differently in memory"):
            self.layer.backward(self.x, np.moveaxis(np.ascontiguousarray(np.moveaxis(z, 1, 2)), 2, 1), saved)
        with self.raises(TypeError, "what forward saved", "NoneType"):
            self.layer.backward(self.x, z, None)
        other = lockstep.SyncBatchNorm(CHANNELS, self.comm)
        with self.raises(lockstep.UsageError, "not from a forward of this layer"):
            other.backward(self.x, z, saved)
        with self.raises(lockstep.UsageError, "batch 2"):
            self.layer.backward(self.x[:2], z[:2], saved)

    def test_slices(self):
        layer = lockstep.SyncBatchNorm(CHANNELS, self.comm, replicas=2 * self.comm.size)
        out = np.empty_like(self.x)
        for outs in ([out, out], [np.empty_like(self.x), self.x]):
            with self.raises(lockstep.UsageError, "overlaps slice"):
                layer.forward_slices([self.x, self.x.copy()], outs)
        zs, saved = layer.forward_slices([self.x, self.x])
        with self.raises(lockstep.UsageError, "overlaps slice"):
            layer.backward_slices([self.x, self.x], zs, saved, zs[::-1])
        with self.raises(ValueError, "shorter"):
            layer.forward_slices([self.x, self.x], [out])
        with self.raises(lockstep.UsageError, "one slice for each"):
            layer.forward_slices([self.x])

    def test_copies(self):
        """Of what the library owns there are none: each would be freed."""
        z, saved = self.layer.forward(self.x)
        for wrong in (self.layer, saved, lockstep.PreciseStatistics(self.layer)):
            for copied in (copy.deepcopy, pickle.dumps):
                with self.raises(TypeError, "pickled"):
                    copied(wrong)
        self.assertIs(copy.deepcopy(self.comm), self.comm)

    def test_options(self):
        for options, words in (({"dtype": np.float16}, "float16"), ({"activation": "gelu"}, "'relu'"),
                               ({"replicas": 0}, "replicas"), ({"group": -1}, "group")):
            with self.raises(lockstep.UsageError, words):
                lockstep.SyncBatchNorm(CHANNELS, self.comm, **options)
        for options, words in (({"eps": 0}, "epsilon"), ({"momentum": 1.5}, "momentum"),
                               ({"frozen": True, "track_running_stats": False}, "running averages")):
            with self.raises(lockstep.UsageError, words):
                lockstep.SyncBatchNorm(CHANNELS, self.comm, **options)
        with self.raises(lockstep.UsageError, "channel"):
            lockstep.SyncBatchNorm(0, self.comm)
        with self.raises(TypeError, "float"):
            lockstep.SyncBatchNorm(3.5, self.comm)
        self.assertEqual(lockstep.SyncBatchNorm(np.int64(3), self.comm).channels, 3)
        with self.raises(lockstep.UsageError, "no running averages"):
            lockstep.SyncBatchNorm(CHANNELS, self.comm, track_running_stats=False).infer(self.x)

    def test_communicators(self):
        for wrong in (3, "world", object()):
            with self.raises(TypeError, "mpi4py", type(wrong).__name__):
                lockstep.SyncBatchNorm(CHANNELS, wrong)
        with self.raises(lockstep.UsageError, "time"):
            lockstep.Communicator(timeout=-1)

    def test_a_pass_under_way(self):
        self.layer.begin_forward(self.x)
        with self.raises(lockstep.UsageError, "under way"):
            self.layer.forward(self.x)
        with self.raises(lockstep.UsageError, "under way"):
            self.layer.set_eps(0.1)
        self.layer.end_forward()


class Ranks(RanksTest):
    """Each of these is an error on every rank, within seconds, that names both sides."""

    def setUp(self):
        super().setUp()
        if not self.several:
            self.skipTest("it takes two ranks to disagree")
        self.last = self.comm.rank == self.comm.size - 1

    def layer(self, **options):
        return lockstep.SyncBatchNorm(options.pop("channels", CHANNELS), self.comm, options.pop("dtype", np.float32),
                                      **options)

    def test_options_that_differ(self):
        for options, words in (({"channels": 4}, ("channels", "3", "4")), ({"dtype": np.float64}, ("type", "float", "double")),
                               ({"eps": 0.5}, ("epsilon", "1e-05", "0.5")), ({"momentum": None}, ("momentum", "cumulative")),
                               ({"activation": "relu"}, ("activation", "none", "relu")), ({"name": "a"}, ("name", "a")),
                               ({"affine": False}, ("affine",)), ({"track_running_stats": False}, ("track_running",))):
            with self.raises(lockstep.CommunicationError, "do not agree", *words):
                self.layer(**options if self.last else {})

    def test_changes_that_differ(self):
        layer = self.layer(name="norm")
        for change, words in ((lambda: layer.set_eps(0.25 if self.last else 0.5), ("norm", "0.25", "0.5")),
                              (lambda: layer.set_momentum(0.25 if self.last else None), ("norm", "0.25", "cumulative")),
                              (lambda: layer.freeze(self.last), ("norm", "frozen"))):
            with self.raises(lockstep.CommunicationError, *words):
                change()
        self.assertEqual((layer.eps, layer.momentum, layer.frozen), (1e-5, 0.1, False))

    def test_layers_in_another_order(self):
        first, second = self.layer(name="first"), self.layer(name="second")
        x = np.ones((2, CHANNELS), np.float32)
        with self.raises(lockstep.CommunicationError, "'first'", "'second'"):
            (second if self.last else first).forward(x)

    def test_a_backward_too_few(self):
        layer = self.layer(name="norm")
        x = np.ones((2, CHANNELS), np.float32)
        z, saved = layer.forward(x)
        with self.raises(lockstep.CommunicationError, "forward", "backward", "'norm'"):
            if self.last:
                layer.forward(x)
            else:
                layer.backward(x, z, saved)

    def test_a_rank_that_does_not_come(self):
        comm = lockstep.Communicator(timeout=0.5)
        layer = lockstep.SyncBatchNorm(CHANNELS, comm, name="norm")
        if self.last:
            return
        with self.raises(lockstep.CommunicationError, "time-out after 0.5 s", "'norm'", f"{self.comm.size - 1}"):
            layer.forward(np.ones((2, CHANNELS), np.float32))

    def test_a_failure_that_is_announced(self):
        layer = self.layer(name="norm")
        if self.last:
            self.comm.announce_failure("the disk is full")
        else:
            with self.raises(lockstep.CommunicationError, f"rank {self.comm.size - 1}", "the disk is full"):
                layer.forward(np.ones((2, CHANNELS), np.float32))

    def test_an_exception_that_leaves_the_block(self):
        with self.raises(KeyError if self.last else lockstep.CommunicationError, "no such sample"):
            with self.comm as comm:
                layer = lockstep.SyncBatchNorm(CHANNELS, comm)
                if self.last:
                    raise KeyError("no such sample")
                layer.forward(np.ones((2, CHANNELS), np.float32))


if __name__ == "__main__":
    main()
