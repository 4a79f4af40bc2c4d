"""Python's threads: layers on communicators of their own work side by side; one that two threads want is an error."""
from support import RanksTest, main

import threading

import numpy as np

import lockstep

CHANNELS, PASSES = 3, 60


def run_on(number, function):
    """Calls function(i) on so many threads at the same time, PASSES times each; what they have raised."""
    errors, begin = [], threading.Barrier(number)

    def work(i):
        begin.wait()
        for _ in range(PASSES):
            try:
                function(i)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


class Threads(RanksTest):
    def setUp(self):
        super().setUp()
        self.x = np.random.default_rng(self.comm.rank).normal(size=(2000, CHANNELS, 40)).astype(np.float32)

    def layer(self, comm=None, **options):
        return lockstep.SyncBatchNorm(CHANNELS, comm or lockstep.Communicator.self(), **options)

    def step(self, layer):
        z, saved = layer.forward(self.x)
        return z, layer.backward(self.x, self.x, saved)

    def test_layers_of_their_own_that_share_a_pool(self):
        for threads in (None, 2):
            layers = [self.layer(threads=threads) for _ in range(3)]
            expected = self.step(self.layer())

            def work(i):
                for values, others in zip(self.step(layers[i]), expected, strict=True):
                    np.testing.assert_array_equal(values, others)

            self.assertEqual(run_on(3, work), [])

    def test_communicators_of_their_own(self):
        """Of all ranks; MPI has been initialized for several threads."""
        layers = [self.layer(lockstep.Communicator(timeout=self.SECONDS), name=f"norm{i}") for i in range(2)]
        expected = self.step(self.layer(self.comm))[0]
        self.assertEqual(run_on(2, lambda i: np.testing.assert_array_equal(self.step(layers[i])[0], expected)), [])

    def test_evaluation_of_one_layer(self):
        for threads in (None, 2):
            layer = self.layer(threads=threads)
            layer.forward(self.x)
            expected = layer.infer(self.x)
            self.assertEqual(run_on(3, lambda i: np.testing.assert_array_equal(layer.infer(self.x), expected)), [])

    def test_one_layer_on_two_threads(self):
        layer = self.layer(name="norm")
        self.refused(run_on(3, lambda i: self.step(layer)))
        self.step(layer)

    def test_one_layer_of_pytorch_on_two_threads(self):
        try:
            import torch

            import lockstep.torch
        except ImportError as error:
            self.skipTest(str(error))
        layer = lockstep.torch.SyncBatchNorm(CHANNELS, process_group=lockstep.Communicator.self(), name="norm")
        x = torch.from_numpy(self.x)
        layer(x.clone().requires_grad_()).sum().backward()
        self.refused(run_on(3, lambda i: layer(x.clone().requires_grad_()).sum().backward()))
        layer(x.clone().requires_grad_()).sum().backward()

    def refused(self, errors):
        """How often is a matter of luck; but with nothing else."""
        self.assertGreater(len(errors), 0)
        for error in errors:
            self.assertIsInstance(error, lockstep.UsageError)
            self.assertIn("'norm' is in use on another thread", str(error))


if __name__ == "__main__":
    main()
