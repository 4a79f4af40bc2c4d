"""What changes around a pass: parameters from elsewhere, tensors replaced or moved between forward and backward."""
from support import UNEVEN, main
from torch_support import TorchTest, draw

import torch
from torch.nn.utils import parametrize, prune
from torch.nn.utils.stateless import functional_call

import lockstep
import lockstep.torch

CHANNELS = 4


class Squared(torch.nn.Module):
    def forward(self, values):
        return values * values


class Changes(TorchTest):
    def setUp(self):
        super().setUp()
        self.whole, self.dz_whole = (draw((self.total(UNEVEN), CHANNELS, 3), seed) for seed in (1, 2))
        self.x, self.dz = self.mine(UNEVEN, self.whole), self.mine(UNEVEN, self.dz_whole)
        self.weight = torch.linspace(-2, 3, CHANNELS, dtype=torch.float64)

    def layer(self, **options):
        return lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, **{"dtype": torch.float64, **options})

    def reference(self, weight, activation=None):
        """z, dx and this rank's dγ of BatchNorm with the whole batch."""
        x, weight = self.whole.clone().requires_grad_(), weight.detach().clone().requires_grad_()
        z = torch.nn.functional.batch_norm(x, None, None, weight, None, True)
        z = z if activation is None else torch.relu(z)
        dx, = torch.autograd.grad(z, x, self.dz_whole, retain_graph=True)
        by_weight, = torch.autograd.grad(self.mine(UNEVEN, z), weight, self.dz)
        return self.mine(UNEVEN, z), self.mine(UNEVEN, dx), by_weight

    def check(self, z, x, weight, what, activation=None):
        """z and its gradients; `weight` is what z was computed with."""
        expected = self.reference(weight, activation)
        actual = z, *torch.autograd.grad(z, (x, weight), self.dz, retain_graph=True)
        for values, others, name in zip(actual, expected, ("z", "dx", "dγ"), strict=True):
            self.close(values, others, 1e-12, f"{what}: {name}")

    # --- where parameters come from ---

    def test_parameters_replaced_between_forward_and_backward(self):
        """Each backward has those of its forward: the derivatives, and what the relu has let through."""
        for activation in (None, "relu"):
            layer, x = self.layer(activation=activation), self.x.clone().requires_grad_()
            layer.weight = torch.nn.Parameter(self.weight)
            first, z_first = layer.weight, layer(x)
            layer.weight = torch.nn.Parameter(-self.weight.flip(0))
            second, z_second = layer.weight, layer(x)
            layer.weight = None
            layer(x)
            self.check(z_first, x, first, "first", activation)
            self.check(z_second, x, second, "second", activation)

    def test_functional_call(self):
        layer, x = self.layer(), self.x.clone().requires_grad_()
        weight, mean = self.weight.clone().requires_grad_(), torch.zeros(CHANNELS, dtype=torch.float64)
        for _ in range(2):  # before and after a forward of the module's own
            self.check(functional_call(layer, {"weight": weight, "running_mean": mean.zero_()}, (x,)), x, weight, "called")
            self.close(mean, 0.1 * self.whole.mean((0, 2)), 1e-12)
            self.check(layer(x), x, layer.weight, "the module's own")

    def test_pruned_normalized_and_parametrized(self):
        for change in (lambda layer: prune.l1_unstructured(layer, "weight", 2),
                       lambda layer: torch.nn.utils.weight_norm(layer, dim=None),
                       lambda layer: parametrize.register_parametrization(layer, "weight", Squared())):
            layer, x = self.layer(), self.x.clone().requires_grad_()
            with torch.no_grad():
                layer.weight.copy_(self.weight)
            change(layer)
            z = layer(x)
            z.backward(self.dz, retain_graph=True)
            self.assertTrue(any(parameter.grad is not None and parameter.grad.abs().sum() > 0
                                for name, parameter in layer.named_parameters() if "weight" in name))
            z_expected, dx, _ = self.reference(layer.weight)
            self.close(z, z_expected, 1e-12)
            self.close(x.grad, dx, 1e-12)

    def test_affine_later(self):
        layer, x = self.layer(affine=False), self.x.clone().requires_grad_()
        layer(x)
        layer.weight = torch.nn.Parameter(self.weight)
        self.check(layer(x), x, layer.weight, "weight")
        bias = torch.zeros(CHANNELS, dtype=torch.float64, requires_grad=True)
        layer.bias = torch.nn.Parameter(bias)
        layer(x).backward(self.dz)
        self.close(layer.bias.grad, self.dz.sum((0, 2)), 1e-12)

    # --- what is somewhere else, or no longer what it was ---

    def test_a_module_moved_between_forward_and_backward(self):
        for before, after in ((torch.float32, torch.float64), (torch.float64, torch.float32)):
            layer, x = self.layer(dtype=before), self.x.to(before).requires_grad_()
            z = layer(x)
            layer.to(after)
            with self.raises(lockstep.UsageError, str(before), str(after), "between forward and backward"):
                z.sum().backward()
            layer(x.detach().to(after).requires_grad_()).sum().backward()

    def test_an_input_whose_data_was_replaced(self):
        """Autograd does not see it."""
        for other in (self.x[:1, :, :2].clone(), self.x.float(), self.x.repeat(1, 1, 3)):
            layer, x = self.layer(), self.x.clone().requires_grad_()
            z = layer(x)
            x.data = other
            with self.raises(lockstep.UsageError, "between forward and backward the input has become"):
                z.backward(self.dz)

    def test_smaller_parameters_in_the_same_place(self):
        layer = self.layer()
        layer(self.x)
        layer.weight.data = layer.weight.data[:2]
        with self.raises(lockstep.UsageError, "weight has shape (2,)"):
            layer(self.x)

    def test_parameters_and_averages_without_memory(self):
        layer = self.layer().to("meta")
        for _ in range(2):
            with self.raises(lockstep.UsageError, "weight is on meta"):
                layer(self.x)
        layer = self.layer()
        layer.running_mean = layer.running_mean.to("meta")
        with self.raises(lockstep.UsageError, "running_mean is on meta"):
            layer(self.x)
        layer = self.layer()
        layer.num_batches_tracked = layer.num_batches_tracked.to("meta")
        self.close(layer(self.x), self.layer()(self.x), 1e-14)

    def test_one_of_the_averages_taken_away(self):
        for name in ("running_mean", "running_var"):
            for before in (False, True):
                layer = self.layer()
                if before:
                    layer(self.x)
                setattr(layer, name, None)
                self.close(layer(self.x), self.layer()(self.x), 1e-14, name)

    def test_views_that_mean_the_negative(self):
        layer, plain = self.layer(), self.layer()
        x, x_plain = (self.x.clone().requires_grad_() for _ in range(2))
        z, z_plain = layer(torch._neg_view(x)), plain(-x_plain)
        self.same(z, z_plain)
        z.backward(torch._neg_view(self.dz))
        z_plain.backward(-self.dz)
        self.same(x.grad, x_plain.grad)


if __name__ == "__main__":
    main()
