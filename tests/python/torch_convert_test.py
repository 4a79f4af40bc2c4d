"""Networks converted to synchronized batch norm, and back."""
from residual_network import make_network
from support import UNEVEN, main
from torch_support import TorchTest, draw, start_gloo

import copy

import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import lockstep
import lockstep.torch
from lockstep.torch import SyncBatchNorm, convert_sync_batchnorm, revert_sync_batchnorm


def batch_norms(network):
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


class Convert(TorchTest):
    def test_a_residual_network_there_and_back(self):
        x = draw((self.total(UNEVEN), 3, 8, 8), 1)
        labels = torch.arange(len(x)) % 5
        whole, network = make_network(), make_network()
        parameters = list(network.parameters())
        optimizer = torch.optim.SGD(parameters, 0.1)  # made before the conversion
        self.assertIs(convert_sync_batchnorm(network, self.comm), network)
        self.assertEqual(len(batch_norms(network)), 20)
        self.assertTrue(all(isinstance(norm, SyncBatchNorm) for norm in batch_norms(network)))
        self.assertEqual([id(p) for p in network.parameters()], [id(p) for p in parameters])
        self.assertEqual(list(network.state_dict()), list(whole.state_dict()))

        # A step: the sums of the gradients over the ranks are those of the whole batch.
        loss = nn.functional.cross_entropy(network(self.mine(UNEVEN, x)), self.mine(UNEVEN, labels), reduction="sum")
        loss.backward()
        nn.functional.cross_entropy(whole(x), labels, reduction="sum").backward()
        for (name, parameter), expected in zip(network.named_parameters(), whole.parameters()):
            self.close(self.sum_over_ranks(parameter.grad), expected.grad, 1e-9, name)
        for name, values in whole.state_dict().items():
            self.close(network.state_dict()[name], values, 1e-11, name)
        optimizer.step()
        self.assertFalse(torch.equal(network.layer4[1].bn2.weight, whole.layer4[1].bn2.weight))

        network.eval()
        expected = network(x)
        self.assertIs(revert_sync_batchnorm(network), network)
        self.assertEqual({type(norm) for norm in batch_norms(network)}, {nn.BatchNorm2d})
        self.assertEqual([id(p) for p in network.parameters()], [id(p) for p in parameters])
        self.same(network(x), expected)
        network.train()(self.mine(UNEVEN, x))  # of this rank alone
        self.assertEqual(vars(network.bn1).keys(), vars(nn.BatchNorm2d(4)).keys())
        copy.deepcopy(network)

    def sum_over_ranks(self, values):
        total = values.detach().clone()
        start_gloo(self.comm).all_reduce(total)
        return total

    def test_everything_of_a_layer_is_kept(self):
        for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            for options in ({}, {"affine": False}, {"track_running_stats": False},
                            {"momentum": None, "eps": 0.1, "dtype": torch.float64}):
                old = kind(3, **options).eval()
                if old.affine:
                    old.weight.requires_grad_(False)
                calls = []
                old.register_forward_hook(lambda *_: calls.append(1))
                old.something_of_mine = "kept"
                new = convert_sync_batchnorm(old, self.comm, timeout=60, threads=2)
                self.assertIsInstance(new, SyncBatchNorm)
                self.assertEqual((new.process_group, new.timeout, new.threads, new.activation), (self.comm, 60, 2, None))
                for attribute in ("num_features", "eps", "momentum", "affine", "track_running_stats", "training",
                                  "something_of_mine"):
                    self.assertEqual(getattr(new, attribute), getattr(old, attribute), attribute)
                for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                    self.assertIs(getattr(new, name), getattr(old, name))
                new(torch.ones(2, 3, *[2] * (kind is not nn.BatchNorm1d) * (2 + (kind is nn.BatchNorm3d)),
                               dtype=options.get("dtype")))
                self.assertEqual(calls, [1])
                reverted = revert_sync_batchnorm(new)
                self.assertIs(type(reverted), kind)
                self.assertEqual(vars(reverted).keys(), vars(old).keys())

    def test_names(self):
        network = convert_sync_batchnorm(make_network(), self.comm)
        self.assertEqual(network.layer3[1].bn2.name, "layer3.1.bn2")
        network(draw((2, 3, 8, 8), 1))
        self.assertEqual(network.layer3[1].bn2._engine.name, "layer3.1.bn2")
        self.assertIsNone(convert_sync_batchnorm(nn.BatchNorm1d(3)).name)

    def test_what_is_converted_already(self):
        network = convert_sync_batchnorm(make_network(), self.comm)
        norm = network.bn1
        again = convert_sync_batchnorm(network, None, timeout=10)
        self.assertIs(again.bn1, norm)
        self.assertEqual((norm.process_group, norm.timeout), (None, 10))

    def test_a_layer_that_occurs_twice_stays_one(self):
        norm = nn.BatchNorm1d(3)
        network = nn.Sequential(norm, nn.ReLU(), norm)
        convert_sync_batchnorm(network, self.comm)
        self.assertIs(network[0], network[2])
        revert_sync_batchnorm(network)
        self.assertIs(network[0], network[2])
        self.assertIs(type(network[0]), nn.BatchNorm1d)

    def test_other_layers_are_left_alone(self):
        network = nn.Sequential(nn.InstanceNorm2d(3, affine=True), nn.GroupNorm(1, 3), nn.LayerNorm(3))
        kinds = [type(module) for module in network]
        convert_sync_batchnorm(network, self.comm)
        self.assertEqual([type(module) for module in network], kinds)

    def test_lazy_ones(self):
        network = nn.Sequential(nn.Linear(2, 3), nn.LazyBatchNorm1d())
        with self.raises(lockstep.UsageError, "'1'", "LazyBatchNorm1d", "pass a batch"):
            convert_sync_batchnorm(network, self.comm)
        network(torch.ones(2, 2))
        self.assertIsInstance(convert_sync_batchnorm(network, self.comm)[1], SyncBatchNorm)

    def test_what_would_be_lost(self):
        """A forward of one's own, or what a parametrization has made of the class."""
        class Shifted(nn.BatchNorm1d):
            def forward(self, x):
                return super().forward(x) + 1

        class Named(nn.BatchNorm1d):
            pass

        network = nn.Sequential(nn.Linear(2, 3), Shifted(3))
        with self.raises(lockstep.UsageError, "'1' is a Shifted", "forward", "lost"):
            convert_sync_batchnorm(network, self.comm)
        self.assertIs(type(network[1]), Shifted)
        self.assertIs(type(revert_sync_batchnorm(convert_sync_batchnorm(Named(3), self.comm))), Named)
        for module, change in ((nn.BatchNorm1d(3), convert_sync_batchnorm), (SyncBatchNorm(3), revert_sync_batchnorm)):
            kind = type(module).__name__
            parametrize.register_parametrization(module, "weight", nn.Identity())
            with self.raises(lockstep.UsageError, kind, "parametrizations"):
                change(module, **{"default": nn.BatchNorm1d} if change is revert_sync_batchnorm else {})

    def test_pruned_ones(self):
        network = nn.Sequential(nn.BatchNorm1d(3))
        prune.l1_unstructured(network[0], "weight", 2)
        x = draw((4, 3, 2), self.comm.rank, torch.float32)
        z = convert_sync_batchnorm(network, self.comm)(x)
        z.sum().backward()
        self.assertEqual((z.abs().amax((0, 2)) > 0).sum().item(), 1)
        self.assertIsNotNone(network[0].weight_orig.grad)

    def test_pytorch_s_own_synchronized_one(self):
        network = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(3)))
        convert_sync_batchnorm(network, self.comm)
        self.assertIs(type(network[0]), SyncBatchNorm)
        network(torch.ones(2, 3, 4))
        self.assertIs(type(revert_sync_batchnorm(network)[0]), nn.BatchNorm1d)

    def test_as_a_class_method(self):
        self.assertIsInstance(SyncBatchNorm.convert_sync_batchnorm(make_network(), self.comm).bn1, SyncBatchNorm)

    def test_revert_layers_that_were_made_so(self):
        for inner, kind in (((), nn.BatchNorm1d), ((4,), nn.BatchNorm1d), ((4, 4), nn.BatchNorm2d), ((2, 2, 2), nn.BatchNorm3d)):
            for training in (True, False):
                norm = SyncBatchNorm(3, process_group=self.comm).train(training)
                with self.raises(lockstep.UsageError, "has had no input", "default"):
                    revert_sync_batchnorm(norm)
                self.assertIs(type(revert_sync_batchnorm(norm, default=nn.BatchNorm2d)), nn.BatchNorm2d)
                norm(torch.ones(4, 3, *inner))
                reverted = revert_sync_batchnorm(norm)
                self.assertIs(type(reverted), kind)
                self.assertEqual(reverted.training, training)
        with self.raises(lockstep.UsageError, "'0'", "activation 'relu'"):
            revert_sync_batchnorm(nn.Sequential(SyncBatchNorm(3, activation="relu")))

    def test_converted_networks_are_copied(self):
        network = convert_sync_batchnorm(make_network(), self.comm)
        x = draw((3, 3, 8, 8), 1 + self.comm.rank)
        copied = copy.deepcopy(network)
        self.same(copied(x), network(x))
        self.assertIs(type(revert_sync_batchnorm(copied).bn1), nn.BatchNorm2d)


if __name__ == "__main__":
    main()
