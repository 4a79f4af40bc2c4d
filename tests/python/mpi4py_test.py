"""Communicators of mpi4py, and who initializes and finalizes MPI."""
from support import RanksTest, main, need

need("mpi4py")
import mpi4py

import numpy as np

import lockstep
from lockstep import _mpi, communicator


class BeforeMpi4py(RanksTest):
    """Named so that it comes first: lockstep has initialized MPI here, and mpi4py, imported later, uses it."""

    def test_mpi4py_imported_later(self):
        from mpi4py import MPI

        self.assertTrue(MPI.Is_initialized())
        self.assertEqual((MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size), (self.comm.rank, self.comm.size))
        self.assertEqual(MPI.Query_thread(), MPI.THREAD_MULTIPLE)


class Communicators(RanksTest):
    def setUp(self):
        super().setUp()
        from mpi4py import MPI

        self.MPI, self.world = MPI, MPI.COMM_WORLD

    def test_the_ranks_of_a_communicator(self):
        backwards = self.world.Split(0, -self.world.rank)
        comm = lockstep.Communicator(backwards, timeout=30)
        self.assertEqual((comm.rank, comm.size), (self.world.size - 1 - self.world.rank, self.world.size))
        backwards.Free()  # ours is a duplicate
        x = np.random.default_rng(comm.rank).normal(size=(4, 3))
        z, saved = lockstep.SyncBatchNorm(3, comm, np.float64).forward(x)
        self.assertEqual(saved.count(), 4 * self.world.size)
        total = self.world.allreduce(z.sum(0))
        self.close(total, np.zeros(3), 1e-12)

    def test_layers_share_what_they_are_given(self):
        half = self.world.Split(self.world.rank % 2)
        first, second = (lockstep.SyncBatchNorm(3, half) for _ in range(2))
        self.assertIs(first.communicator, second.communicator)
        self.assertIs(communicator.of(half), first.communicator)
        self.assertIsNot(communicator.of(half, 20), first.communicator)
        other = half.Dup()
        self.assertIsNot(communicator.of(other), first.communicator)
        for comm in (half, other):
            comm.Free()
        again = self.world.Split(self.world.rank % 2)  # which may have the number of the one that was freed
        self.assertIsNot(communicator.of(again), first.communicator)
        again.Free()
        self.assertIs(lockstep.SyncBatchNorm(3).communicator, lockstep.world())

    def test_no_communicators(self):
        for wrong in (self.MPI.COMM_NULL, self.world.Create_group(self.world.group.Incl([])) if self.several else
                      self.MPI.COMM_NULL):
            with self.raises(lockstep.UsageError, "COMM_NULL"):
                lockstep.Communicator(wrong)
        for wrong in (self.MPI.INT, self.world.group):
            with self.raises(TypeError, "communicator of mpi4py", type(wrong).__name__):
                lockstep.Communicator(wrong)

    def test_intercommunicators(self):
        if not self.several:
            self.skipTest("it takes two ranks")
        side = self.world.Split(self.world.rank > 0)
        between = side.Create_intercomm(0, self.world, 1 if self.world.rank == 0 else 0)
        with self.raises(lockstep.UsageError, "intra-communicator"):
            lockstep.Communicator(between)

    def test_another_mpi_under_mpi4py(self):
        """As if the library had been built with another."""
        ours = _mpi.library_text
        _mpi.library_text = lambda: "Some MPI 1.0"
        try:
            with self.raises(lockstep.UsageError, "different MPIs", "Some MPI 1.0", ours()):
                lockstep.Communicator(self.world)
            # MPICH says how it was built, in a thousand letters, which are of interest only if nothing else differs.
            _mpi.library_text = lambda: "MPICH Version:\t4.0.2\nMPICH configure:\t--prefix=/usr"
            with self.raises(lockstep.UsageError, "'MPICH Version: 4.0.2'"):
                lockstep.Communicator(self.world)
            _mpi.library_text = lambda: ours() + "\nbuilt otherwise"
            with self.raises(lockstep.UsageError, "built otherwise"):
                lockstep.Communicator(self.world)
        finally:
            _mpi.library_text = ours

    def test_the_mpirun_of_another_mpi(self):
        """Each process would be alone."""
        with self.raises(lockstep.UsageError, "started", "sees 1", "mpirun"):
            import os

            from unittest import mock

            with mock.patch.dict(os.environ, {"PMI_SIZE": "7"} | {"OMPI_COMM_WORLD_SIZE": "7"}):
                _mpi.check_world(1)


if __name__ == "__main__":
    main()
