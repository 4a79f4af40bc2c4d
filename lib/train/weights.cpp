#include <lockstep/train/weights.hpp>

#include "checked_values.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

namespace lockstep {
namespace {

template <class Scalar>
std::span<Scalar> part(std::span<Scalar> flat, const ParameterInfo& info) {
    return flat.subspan(static_cast<std::size_t>(info.offset), static_cast<std::size_t>(info.size));
}

template <class Scalar>
std::string counter_name(const BatchNorm<Scalar>& layer) {
    return layer.prefix() + "num_batches_tracked";
}

/// In the metadata, since load_state_dict of PyTorch wants no tensors that it does not know.
template <class Scalar>
std::string without_variance_key(const BatchNorm<Scalar>& layer) {
    return "lockstep.batches_without_variance " + layer.prefix();
}

/// What PyTorch's wrappers (DataParallel, torch.compile) put before all names of a model; empty if nothing.
std::string wrapper_prefix(const SafetensorsFile& file) {
    const std::vector<std::string> names = file.names();
    std::string prefix;
    const auto extend = [&](std::string_view word) {
        const std::string longer = prefix + std::string(word);
        const bool all =
            std::ranges::all_of(names, [&](const std::string& name) { return name.starts_with(longer); });
        if (all && !names.empty()) prefix = longer;
        return all && !names.empty();
    };
    while (extend("module.") || extend("_orig_mod.")) {
    }
    return prefix;
}

/// The steps of load_weights. Fills copies first: a file that fails half way must not leave a network that is
/// half of each.
template <class Scalar>
class WeightsLoader {
  public:
    WeightsLoader(const SafetensorsFile& file, Network<Scalar>& network, const LoadOptions& options)
        : file_(file),
          network_(network),
          options_(options),
          parameters_(network.parameters().begin(), network.parameters().end()),
          averages_(network.averages().begin(), network.averages().end()) {
        report_.prefix = wrapper_prefix(file);
    }

    LoadReport load() && {
        find_unknown();
        assume_constants();
        for (const auto& info : network_.layout().parameters()) read_parameter(info);
        for (const auto& info : network_.layout().averages()) read_average(info);
        for (auto* const layer : network_.batch_norms()) read_counter(*layer);
        if (report_.taken == 0 && options_.partial)
            throw FileError(path() +
                            ": nothing in it fits the model: choose the model that it was written "
                            "with, or one that shares layers with it");
        std::ranges::copy(parameters_, network_.parameters().begin());
        std::ranges::copy(averages_, network_.averages().begin());
        for (const Counter& counter : counters_)
            counter.layer->norm().averages().set_batches(counter.batches, counter.with_variance);
        return std::move(report_);
    }

  private:
    struct Counter {
        BatchNorm<Scalar>* layer;
        std::int64_t batches, with_variance;
    };

    std::string path() const { return file_.path().string(); }
    std::string in_file(const std::string& name) const { return report_.prefix + name; }
    bool has(const std::string& name) const { return file_.contains(in_file(name)); }

    /// What the file has and the network has not.
    void find_unknown() {
        std::set<std::string> known;
        for (const auto& info : network_.layout().parameters()) known.insert(in_file(info.name));
        for (const auto& info : network_.layout().averages()) known.insert(in_file(info.name));
        for (const auto* layer : network_.batch_norms()) known.insert(in_file(counter_name(*layer)));
        for (const std::string& name : file_.names()) {
            if (known.contains(name) || name.starts_with(optimizer_prefix)) continue;
            if (!options_.partial)
                throw FileError(path() + ": does not fit the model: it holds '" + name +
                                "', which the model has not; choose the model that it was written with");
            report_.unknown.push_back(name);
        }
    }

    /// A batch norm that learned neither weight nor bias has none in the file: they are 1 and 0.
    void assume_constants() {
        for (const auto* layer : network_.batch_norms()) {
            const std::string weight = layer->prefix() + "weight", bias = layer->prefix() + "bias";
            if (has(weight) || has(bias) || !has(layer->prefix() + "running_mean") ||
                !has(layer->prefix() + "running_var"))
                continue;
            constants_[weight] = 1;
            constants_[bias] = 0;
        }
    }

    /// Whether the tensor is there and has the shape that the model wants.
    bool fits(const ParameterInfo& info) {
        if (!has(info.name)) {
            if (!options_.partial) file_.at(in_file(info.name));  // throws
            report_.missing.push_back(info.name);
            return false;
        }
        const std::vector<Index>& shape = file_.at(in_file(info.name)).shape;
        if (shape == info.shape) return true;
        if (!options_.partial)
            throw FileError(path() + ": tensor '" + in_file(info.name) + "' has shape " +
                            shape_to_string(shape) + ", but the model wants " + shape_to_string(info.shape) +
                            ": choose the model that the file was written with, or load it partially, which "
                            "takes what fits");
        report_.other_shapes.push_back({info.name, shape, info.shape});
        return false;
    }

    void read_parameter(const ParameterInfo& info) {
        if (const auto constant = constants_.find(info.name); constant != constants_.end()) {
            std::ranges::fill(part(std::span(parameters_), info), constant->second);
            report_.assumed.push_back(info.name);
            return;
        }
        if (!fits(info)) return;
        in_file_order_.resize(static_cast<std::size_t>(info.size));
        read_checked(file_, in_file(info.name), info.shape, std::span(in_file_order_), ValueRange::finite);
        to_memory_order<Scalar>(info, in_file_order_, part(std::span(parameters_), info));
        ++report_.taken;
    }

    void read_average(const ParameterInfo& info) {
        if (!fits(info)) return;
        const bool variance = info.name.ends_with("running_var");
        read_checked(file_, in_file(info.name), info.shape, part(std::span(averages_), info),
                     variance ? ValueRange::finite_and_not_negative : ValueRange::finite);
        ++report_.taken;
        if (variance) taken_variances_.insert(info.name);
    }

    /// The counter belongs to the averages: it is taken if they are.
    void read_counter(BatchNorm<Scalar>& layer) {
        const std::string name = counter_name(layer);
        if (!taken_variances_.contains(layer.prefix() + "running_var")) return;
        if (!has(name)) {
            report_.assumed.push_back(name);
            counters_.push_back({&layer, 0, 0});
            return;
        }
        const std::vector<Index> single = {1};
        const bool is_list = file_.at(in_file(name)).shape == single;
        std::int64_t count = 0;
        file_.copy_to(in_file(name), is_list ? std::span<const Index>(single) : std::span<const Index>(),
                      std::span(&count, 1));
        if (count < 0)
            throw FileError(path() + ": tensor '" + in_file(name) + "' is " + std::to_string(count) +
                            ", but it counts batches, which cannot be negative; the file is damaged");
        counters_.push_back({&layer, count, count - without_variance(layer, count)});
    }

    std::int64_t without_variance(const BatchNorm<Scalar>& layer, std::int64_t batches) const {
        const auto found = file_.metadata().find(without_variance_key(layer));
        if (found == file_.metadata().end()) return 0;
        const std::string& text = found->second;
        std::int64_t count = -1;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
        if (error != std::errc() || end != text.data() + text.size() || count < 0 || count > batches)
            throw FileError(path() + ": is damaged: metadata '" + found->first + "' is '" + text +
                            "', not a number from 0 to " + std::to_string(batches) + ", the batches tracked");
        return count;
    }

    const SafetensorsFile& file_;
    Network<Scalar>& network_;
    LoadOptions options_;
    LoadReport report_;
    std::map<std::string, Scalar> constants_;
    std::set<std::string> taken_variances_;
    std::vector<Scalar> parameters_, averages_, in_file_order_;
    std::vector<Counter> counters_;
};

}  // namespace

template <class Scalar>
void add_weights(const Network<Scalar>& network, SafetensorsWriter& writer) {
    for (const auto& info : network.layout().parameters()) {
        const auto memory = part(network.parameters(), info);
        if (info.memory_order.empty()) {
            writer.add(info.name, info.shape, memory);
            continue;
        }
        std::vector<Scalar> file(memory.size());
        to_file_order<Scalar>(info, memory, file);
        writer.add(info.name, info.shape, std::move(file));
    }
    for (const auto& info : network.layout().averages())
        writer.add(info.name, info.shape, part(network.averages(), info));
    for (const auto* layer : network.batch_norms()) {
        const std::int64_t batches = layer->norm().averages().batches();
        writer.add(counter_name(*layer), {}, std::vector<std::int64_t>{batches});
        if (layer->norm().averages().batches_with_variance() != batches)
            writer.set_metadata(without_variance_key(*layer),
                                std::to_string(batches - layer->norm().averages().batches_with_variance()));
    }
}

template <class Scalar>
LoadReport load_weights(const SafetensorsFile& file, Network<Scalar>& network, const LoadOptions& options) {
    return WeightsLoader<Scalar>(file, network, options).load();
}

template <class Scalar>
std::uint64_t fingerprint(const Network<Scalar>& network) {
    Hash64 hash;
    hash.add(std::as_bytes(network.parameters()));
    hash.add(std::as_bytes(network.averages()));
    for (const auto* layer : network.batch_norms()) {
        const SyncBatchNorm<Scalar>& norm = layer->norm();
        hash.add_value(norm.averages().batches());
        // Only if it says something, so that the fingerprints of nearly all networks stay what they were.
        if (norm.averages().batches_with_variance() != norm.averages().batches())
            hash.add_value(norm.averages().batches_with_variance());
    }
    return hash.value();
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                           \
    template LOCKSTEP_EXPORT void add_weights(const Network<Scalar>&, SafetensorsWriter&);     \
    template LOCKSTEP_EXPORT LoadReport load_weights(const SafetensorsFile&, Network<Scalar>&, \
                                                     const LoadOptions&);                      \
    template LOCKSTEP_EXPORT std::uint64_t fingerprint(const Network<Scalar>&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
