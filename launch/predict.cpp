/// `lockstep predict`: what a trained network says of new data, as an array in a file.
#include "command.hpp"
#include "console.hpp"
#include "option_table.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/data/array_dataset.hpp>
#include <lockstep/data/array_writer.hpp>
#include <lockstep/nn/fold.hpp>
#include <lockstep/train/chunk_inference.hpp>
#include <lockstep/train/data_survey.hpp>
#include <lockstep/train/model_file.hpp>

#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <optional>

namespace lockstep::launch {
namespace {

struct PredictOptions {
    std::filesystem::path weights;
    std::string data;
    std::filesystem::path output = "predictions.npy";
    bool probabilities = false;
    bool channels_first = false;
    double timeout_seconds = 300;
    bool help = false;
};

void add_options(OptionTable& table, PredictOptions& options) {
    table.group("Prediction");
    table.add("weights", options.weights, path_as_given(), "model.safetensors of a run", OptionRole::place);
    table.add("data", options.data,
              "array of inputs, as x.npy or file.h5:/x; targets behind it are not looked at",
              OptionRole::place);
    table.add(
        "output", options.output, path_as_given(),
        "file to write, .npy or (as file.h5:/name) HDF5: a row of outputs for each sample, in their order",
        OptionRole::place);
    table.add_switch("probabilities", options.probabilities, "of classes or labels, instead of logits");
    table.add("channels-first", options.channels_first, "images of the array are N×c×h×w, not N×h×w×c");
    table.add("timeout", options.timeout_seconds, "seconds that an exchange may wait for other ranks",
              OptionRole::course);
    table.add_switch("help", options.help, "print this");
}

/// What makes probabilities of the outputs of a sample.
enum class Link { none, softmax, sigmoid };

Link link_of(const ModelSignature& signature) {
    if (signature.target.classes > 0) return Link::softmax;
    if (signature.loss == binary_cross_entropy()->text()) return Link::sigmoid;
    throw UsageError("probabilities: the model predicts values (its loss is " + signature.loss +
                     "), not classes or labels: leave the option out");
}

void apply(Link link, std::span<float> outputs) {
    if (link == Link::softmax) softmax(outputs);
    if (link == Link::sigmoid) sigmoid(outputs);
}

/// "predictions.h5" and "/predictions", or what stands behind the colon.
struct Hdf5Place {
    std::filesystem::path file;
    std::string dataset = "/predictions";
};

std::optional<Hdf5Place> hdf5_place(const std::filesystem::path& output) {
    const std::string text = output.string();
    const std::size_t colon = text.find(":/");
    Hdf5Place place{.file = text.substr(0, colon)};
    if (colon != std::string::npos) place.dataset = text.substr(colon + 1);
    const std::string extension = place.file.extension().string();
    if (extension == ".h5" || extension == ".hdf5") return place;
    if (extension != ".npy" || colon != std::string::npos)
        throw UsageError("output: '" + text + "' is neither an .npy file nor an HDF5 file (.h5 or .hdf5)");
    return std::nullopt;
}

/// Throws if writing `output` would destroy what is read, or what others have put beside it.
void check_replaceable(const std::filesystem::path& output, bool hdf5,
                       std::initializer_list<std::filesystem::path> read) {
    std::error_code ignored;
    for (const std::filesystem::path& file : read)
        if (std::filesystem::equivalent(output, file, ignored))
            throw UsageError("output: " + output.string() + " is read from: choose another name");
    if (hdf5 && std::filesystem::exists(output, ignored))
        throw UsageError("output: " + output.string() +
                         " exists, and would be replaced with everything in it: choose another name, or "
                         "remove it first");
}

/// Throws if the model gives sample `sample` anything but numbers.
void check_finite_outputs(const Dataset& data, Index sample, std::span<const float> outputs) {
    if (std::ranges::all_of(outputs, [](float value) { return std::isfinite(value); })) return;
    throw NumericalError("data set " + data.name() + ": what the model gives for sample " +
                         std::to_string(sample) +
                         " is not finite: its inputs lie far outside of what it was trained on");
}

/// Collective: `action` on each rank; where it throws on one, all ranks throw the same text, which is one line on the
/// screen.
template <class Action>
void on_all_ranks(const Communicator& communicator, const char* what, Action action) {
    check_agreement(communicator, what, {}, fault_of(action));
}

class Prediction {
  public:
    Prediction(const PredictOptions& options, const Communicator& communicator)
        : options_(options),
          communicator_(communicator),
          hdf5_(hdf5_place(options.output)),
          model_(load_model<float>(options.weights)),
          folded_(*model_.network),
          data_(open_dataset(array_names(options.data).front(), {.channels_first = options.channels_first})),
          link_(options.probabilities ? link_of(model_.signature) : Link::none) {
        if (data_->input_shape() != model_.signature.input.shape())
            throw UsageError(options.weights.string() + ": its model takes " +
                             model_.signature.input.shape().to_string() + ", but the samples of " +
                             data_->name() + " are " + data_->input_shape().to_string());
        check_agreement(communicator, "what to predict",
                        {{"model", to_hex16(fingerprint(*model_.network))},
                         {"data", outline(*data_) + ", spot checks " + to_hex16(spot_check(*data_))},
                         {"probabilities", options.probabilities ? "yes" : "no"}});
    }

    void run() {
        const Index outputs = model_.network->output_shape().size();
        const std::filesystem::path file = hdf5_ ? hdf5_->file : options_.output;
        const std::vector<Index> extents{data_->size(), outputs};
        std::optional<NpyWriter> writer;
        std::optional<Hdf5Writer> hdf5;  // is given the rows at the end
        std::string partial;
        on_all_ranks(communicator_, "writing predictions", [&] {
            if (communicator_.rank() != 0) return;
            check_replaceable(file, hdf5_.has_value(), {options_.weights, input_file()});
            if (hdf5_) hdf5.emplace(file, hdf5_->dataset, ElementType::f32, extents);
            writer.emplace(file, ElementType::f32, extents);
            partial = writer->partial().string();
        });
        partial = communicator_.all_gather(partial, "writing predictions").front();
        on_all_ranks(communicator_, "predicting", [&] { write_share(partial); });
        on_all_ranks(communicator_, "writing predictions", [&] {
            if (hdf5)
                copy(partial, *hdf5);
            else if (writer)
                writer->commit();
        });
        const Console console(communicator_.rank() == 0);
        console.line("  " + std::to_string(data_->size()) +
                     (data_->size() == 1 ? " prediction of " : " predictions of ") + std::to_string(outputs) +
                     (outputs == 1 ? " value: " : " values: ") + options_.output.string());
    }

  private:
    void write_share(const std::string& partial) {
        ChunkInference<float> inference(folded_.layers(), *data_, model_.signature.input);
        NpyRows rows(partial);
        std::vector<float> values;
        const Index chunks = inference.chunks(), ranks = communicator_.size(), rank = communicator_.rank();
        for (Index chunk = rank * chunks / ranks; chunk < (rank + 1) * chunks / ranks; ++chunk) {
            const Tensor<const float> outputs = inference.infer(chunk);
            values.assign(outputs.data, outputs.data + outputs.size());
            const auto width = static_cast<std::size_t>(outputs.shape.size());
            for (std::size_t at = 0; at < values.size(); at += width)
                finish(inference.first_sample(chunk) + static_cast<Index>(at / width),
                       std::span(values).subspan(at, width));
            rows.write(inference.first_sample(chunk), values);
        }
        rows.flush();
    }

    void finish(Index sample, std::span<float> outputs) const {
        check_finite_outputs(*data_, sample, outputs);
        apply(link_, outputs);
    }

    std::filesystem::path input_file() const {
        const std::string name = array_names(options_.data).front();
        return name.substr(0, name.find(":/"));
    }

    static void copy(const std::string& partial, Hdf5Writer& file) {
        const auto rows = open_array(partial);
        std::vector<float> row(static_cast<std::size_t>(rows->row_size()));
        for (Index i = 0; i < rows->rows(); ++i) {
            rows->read_row(i, row.data());
            file.append(row);
        }
        file.commit();
    }

    const PredictOptions& options_;
    Communicator communicator_;
    std::optional<Hdf5Place> hdf5_;
    LoadedModel<float> model_;
    FoldedNetwork<float> folded_;
    std::shared_ptr<const Dataset> data_;
    Link link_;
};

}  // namespace

void predict_command(const std::vector<std::string>& arguments) {
    PredictOptions options;
    OptionTable table;
    add_options(table, options);
    table.read_words(arguments);
    if (options.help)
        return print_once(
            "mpirun -n RANKS lockstep predict --weights DIR/model.safetensors --data x.npy --output "
            "predictions.npy\n" +
            table.help());
    if (options.weights.empty())
        throw UsageError("weights: which? give a model file with --weights, such as DIR/model.safetensors");
    if (options.data.empty())
        throw UsageError("data: which? give an array of inputs with --data, such as x.npy");
    const Communicator communicator(MPI_COMM_WORLD, {.timeout_seconds = options.timeout_seconds});
    or_announce(communicator, [&] { Prediction(options, communicator).run(); });
}

}  // namespace lockstep::launch
