#include "initial_weights.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/train/model_file.hpp>

namespace lockstep::launch {
namespace {

/// The first few of many names.
std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t shown = 20;
    std::string text;
    for (std::size_t i = 0; i < std::min(shown, names.size()); ++i) text += (i > 0 ? ", " : "") + names[i];
    if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
    return text;
}

/// One setting that the file and the run have: an error if it differs and the run's is a default, else a
/// note.
void compare(const std::string& option, const std::string& file, const std::string& run, bool given,
             const std::filesystem::path& path, std::vector<std::string>& notes) {
    if (file == run) return;
    if (!given)
        throw UsageError("init-from: " + path.string() + " was trained with --" + option + " " + file +
                         ", but the default here is " + run + ": give --" + option + " " + file +
                         " to go on with what the weights know, or --" + option + " " + run +
                         " to change it");
    notes.push_back("init-from: the weights were trained with " + option + " " + file + ", this run has " +
                    run);
}

}  // namespace

std::vector<std::string> notes_on(const LoadReport& report, const std::filesystem::path& path) {
    std::vector<std::string> notes;
    const std::string file = path.string() + ": ";
    if (!report.prefix.empty())
        notes.push_back(file + "all names begin with '" + report.prefix + "', which was taken off");
    if (!report.assumed.empty())
        notes.push_back(file +
                        "not in it, and set to 0 (weights of batch norms to 1): " + listed(report.assumed));
    if (!report.missing.empty())
        notes.push_back(file + "not in it, and left at their initial values: " + listed(report.missing));
    std::vector<std::string> shapes;
    for (const LoadReport::OtherShape& one : report.other_shapes)
        shapes.push_back(one.name + " (" + shape_to_string(one.in_file) + ", the model has " +
                         shape_to_string(one.in_model) + ")");
    if (!shapes.empty())
        notes.push_back(file + "of another shape, and left at their initial values: " + listed(shapes));
    if (!report.unknown.empty())
        notes.push_back(file + "not of the model, and not taken: " + listed(report.unknown));
    return notes;
}

std::vector<std::string> load_initial_weights(const RunOptions& run, const InputTransform& input,
                                              Network<float>& network) {
    const SafetensorsFile file = SafetensorsFile::read(run.init_from);
    std::vector<std::string> notes;
    if (const auto signature = read_signature(file)) {
        if (signature->model != run.trainer.model && !run.init_partial)
            notes.push_back("init-from: the weights were trained in another model: " + signature->model);
        const InputTransform& trained = signature->input;
        compare("input", to_string(trained.kind()), to_string(input.kind()), run.trainer.input.has_value(),
                file.path(), notes);
        compare("bn-epsilon", shortest_text(signature->epsilon), shortest_text(run.trainer.epsilon),
                run.epsilon_given, file.path(), notes);
        if (trained.kind() == input.kind() && trained != input)
            notes.emplace_back(
                "init-from: the weights were trained on inputs standardized by other data; this run "
                "standardizes by its own");
    }
    const LoadReport report = load_weights(file, network, {.partial = run.init_partial});
    for (std::string& note : notes_on(report, file.path())) notes.push_back(std::move(note));
    if (run.init_partial)
        notes.push_back(
            file.path().string() + ": " + std::to_string(report.taken) + " of " +
            std::to_string(network.layout().parameters().size() + network.layout().averages().size()) +
            " tensors of the model were taken from it");
    return notes;
}

}  // namespace lockstep::launch
