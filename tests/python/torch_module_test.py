"""The layer is a module like others: types, copies, states, optimizers, hooks, and changes of its attributes."""
from support import UNEVEN, main
from torch_support import TorchTest, draw

import copy
import io
import pickle

import torch

import lockstep
import lockstep.torch

CHANNELS = 4


class Module(TorchTest):
    def setUp(self):
        super().setUp()
        self.whole = draw((self.total(UNEVEN), CHANNELS, 3, 2), 1)
        self.x = self.mine(UNEVEN, self.whole)

    def layer(self, **options):
        return lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, **options)

    def expected(self, **options):
        return self.mine(UNEVEN, torch.nn.BatchNorm2d(CHANNELS, **options).double()(self.whole))

    def test_it_is_a_batch_norm_of_pytorch(self):
        layer = lockstep.torch.SyncBatchNorm(CHANNELS, 1e-4, 0.2, False, True, self.comm, "cpu", torch.float64)
        self.assertIsInstance(layer, torch.nn.modules.batchnorm._BatchNorm)
        reference = torch.nn.BatchNorm2d(CHANNELS, 1e-4, 0.2, False, True, "cpu", torch.float64)
        self.assertEqual(layer.extra_repr(), reference.extra_repr())
        self.assertEqual({name: (values.dtype, values.shape) for name, values in layer.state_dict().items()},
                         {name: (values.dtype, values.shape) for name, values in reference.state_dict().items()})
        self.assertIn("activation='relu'", repr(self.layer(activation="relu")))

    def test_types(self):
        layer = self.layer()
        single = layer(self.x.float())
        self.assertEqual(single.dtype, torch.float32)
        layer.double()
        layer.reset_parameters()
        self.close(layer(self.x), self.expected(), 1e-12)
        layer.float()
        layer.reset_parameters()
        self.same(layer(self.x.float()), single)
        layer.to(torch.float64)
        layer.reset_parameters()
        self.close(layer(self.x), self.expected(), 1e-12)
        self.assertEqual(layer.num_batches_tracked.item(), 1)

    def test_deepcopy(self):
        network = torch.nn.Sequential(torch.nn.Conv2d(CHANNELS, CHANNELS, 1), self.layer()).double()
        with torch.no_grad():
            network[0].weight.copy_(torch.eye(CHANNELS)[..., None, None])
            network[0].bias.zero_()
        network(self.x)
        other = copy.deepcopy(network)
        self.assertIs(other[1].process_group, self.comm)
        other(2 * self.x)
        self.assertEqual((network[1].num_batches_tracked.item(), other[1].num_batches_tracked.item()), (1, 2))
        self.assertFalse(torch.equal(network[1].running_mean, other[1].running_mean))
        self.same(network(self.x), other(self.x))
        self.assertEqual(copy.copy(network[1]).num_batches_tracked.item(), 2)

    def test_pickle(self):
        layer = lockstep.torch.SyncBatchNorm(CHANNELS, momentum=None, activation="relu", name="norm", dtype=torch.float64)
        layer(self.x)
        for other in (pickle.loads(pickle.dumps(layer)), self.saved(layer)):
            self.assertEqual((other.momentum, other.activation, other.name), (None, "relu", "norm"))
            self.same(other.eval()(self.x), layer.eval()(self.x))
            self.same(other.train()(self.x), layer.train()(self.x))
            layer.load_state_dict(other.state_dict())
        with self.raises(TypeError, "communicator", "pickled"):
            pickle.dumps(self.layer())

    def saved(self, layer):
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        return torch.load(file)

    def test_state_dicts(self):
        source = torch.nn.BatchNorm2d(CHANNELS).double()
        for _ in range(3):
            source(self.whole)
        torch.nn.init.uniform_(source.weight)
        layer = self.layer(dtype=torch.float64)
        layer(self.x)  # it has taken other values before
        layer.load_state_dict(source.state_dict())
        self.close(layer(self.x), self.mine(UNEVEN, source(self.whole)), 1e-12)
        for name, values in source.state_dict().items():
            self.close(layer.state_dict()[name], values, 1e-12, name)
        # With plain averages the number of batches says how much one counts.
        for module in (source, layer):
            module.momentum = None
            module.num_batches_tracked.fill_(9)
        source(self.whole)
        layer(self.x)
        self.close(layer.running_mean, source.running_mean, 1e-12)
        self.close(layer.running_var, source.running_var, 1e-12)
        layer.reset_running_stats()
        layer(self.x)
        self.close(layer.running_mean, self.whole.mean((0, 2, 3)), 1e-12)
        # A state of before PyTorch 0.4.1 has no counter.
        del (state := source.state_dict())["num_batches_tracked"]
        state._metadata[""]["version"] = 1
        layer.load_state_dict(state)

    def test_eps_and_momentum_changed_later(self):
        layer = self.layer(dtype=torch.float64)
        layer(self.x)
        layer.eps, layer.momentum = 0.5, 1.0
        self.close(layer(self.x), self.expected(eps=0.5), 1e-12)
        self.close(layer.running_mean, self.whole.mean((0, 2, 3)), 1e-12)
        layer.eps = -1.0
        with self.raises(lockstep.UsageError, "epsilon"):
            layer(self.x)

    def test_other_attributes_changed_later(self):
        layer = self.layer(dtype=torch.float64)
        z = layer(self.x)
        layer.activation = "relu"
        self.same(layer(self.x), torch.relu(z))
        layer.activation = None
        layer.process_group = lockstep.Communicator.self()
        self.close(layer(self.x), torch.nn.BatchNorm2d(CHANNELS).double()(self.x), 1e-12)
        layer.process_group = self.comm
        layer.track_running_stats = False
        before = layer.running_mean.clone()
        self.same(layer(self.x), z)
        self.same(layer.running_mean, before)
        layer.track_running_stats = True
        layer(self.x)
        self.assertFalse(torch.equal(layer.running_mean, before))

    def test_parameters_replaced(self):
        layer = self.layer(dtype=torch.float64)
        z = layer(self.x)
        layer.weight.data = torch.full((CHANNELS,), 2.0, dtype=torch.float64)
        layer.bias = torch.nn.Parameter(torch.ones(CHANNELS, dtype=torch.float64))
        self.close(layer(self.x), 2 * z + 1, 1e-12)
        layer.weight = None
        self.close(layer(self.x), z + 1, 1e-12)
        layer.running_mean = torch.zeros(CHANNELS, dtype=torch.float64)
        layer.running_var.share_memory_()  # moves it
        layer(self.x)
        self.close(layer.running_mean, 0.1 * self.whole.mean((0, 2, 3)), 1e-12)

    def test_an_optimizer_updates_in_place(self):
        layer = self.layer(dtype=torch.float64)
        optimizer = torch.optim.SGD(layer.parameters(), 1.0)
        z = layer(self.x)
        z.sum().backward()
        optimizer.step()
        expected = z.detach() * layer.weight.detach()[:, None, None] + layer.bias.detach()[:, None, None]
        self.close(layer(self.x), expected, 1e-12)

    def test_gradients_add_up(self):
        layer = self.layer(dtype=torch.float64)
        layer(self.x).backward(self.x)
        once = layer.weight.grad.clone()
        layer(self.x).backward(self.x)
        self.same(layer.weight.grad, 2 * once)

    def test_changes_in_place_between_forward_and_backward(self):
        """As PyTorch does it: an error, never a wrong gradient."""
        layer = self.layer(dtype=torch.float64)
        for changed in ("input", "weight"):
            x = self.x.clone().requires_grad_()
            between = x * 1
            z = layer(between)
            with torch.no_grad():
                (between if changed == "input" else layer.weight).add_(1)
            with self.raises(RuntimeError, "modified by an inplace operation"):
                z.sum().backward()
        x = self.x.clone().requires_grad_()
        layer(x).relu_().sum().backward()  # the output may be changed

    def test_no_second_derivatives(self):
        layer = self.layer(dtype=torch.float64)
        x = self.x.clone().requires_grad_()
        # Neither of something whose gradient is a constant, nor with parameters alone.
        gradient, by_weight = torch.autograd.grad((layer(x) * self.x).sum(), (x, layer.weight), create_graph=True)
        with self.raises(lockstep.UsageError, "no second derivatives"):
            gradient.pow(2).sum().backward()
        with self.raises(lockstep.UsageError, "no second derivatives"):
            by_weight.sum().backward()
        again, = torch.autograd.grad((layer(x) * self.x).sum(), x, create_graph=True)
        self.close(again, gradient, 1e-13)

    def test_hooks(self):
        layer, calls = self.layer(dtype=torch.float64), []
        layer.register_forward_hook(lambda module, inputs, output: calls.append("forward"))
        layer.register_full_backward_hook(lambda module, inputs, outputs: calls.append("backward"))
        layer(self.x.clone().requires_grad_()).sum().backward()
        self.assertEqual(calls, ["forward", "backward"])

    def test_what_graphs_hold_is_returned(self):
        layer = self.layer(dtype=torch.float64)
        for _ in range(5):
            graphs = [layer(self.x.clone().requires_grad_()) for _ in range(3)]
            for z in graphs:
                z.sum().backward()
            del graphs, z
        self.assertEqual((len(layer._engine._moments), len(layer._engine._free)), (3, 3))


if __name__ == "__main__":
    main()
