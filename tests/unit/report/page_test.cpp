// Figures and page are well-formed, complete, and need nothing from elsewhere.
#include <lockstep/report/figures.hpp>
#include <lockstep/report/html_report.hpp>
#include <lockstep/report/markup.hpp>

#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "study_samples.hpp"

namespace lockstep {
namespace {

using test::sample_study;

/// Whether every tag is closed, in order, and no ampersand stands alone; what is wrong otherwise.
std::string fault_in_markup(const std::string& text) {
    static const std::regex piece(
        "<!DOCTYPE[^>]*>|<(/?)([A-Za-z0-9]+)([^<>]*?)(/?)>|&([a-z]+|#[0-9]+);|[<>&]");
    std::vector<std::string> open;
    for (auto match = std::sregex_iterator(text.begin(), text.end(), piece); match != std::sregex_iterator();
         ++match) {
        const std::string all = match->str();
        if (all == "<" || all == "&" || (all == ">" && open.empty())) return "stray " + all;
        if (all.starts_with("<!") || all.starts_with("&") || all == ">") continue;
        if ((*match)[1].length() > 0) {
            if (open.empty() || open.back() != (*match)[2]) return "unexpected " + all;
            open.pop_back();
        } else if ((*match)[4].length() == 0) {
            open.push_back((*match)[2]);
        }
    }
    return open.empty() ? "" : "open " + open.back();
}

TEST(Markup, IsEscaped) {
    EXPECT_EQ(escape_markup("a<b> & \"c\" 'd'\x01"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;?");
    EXPECT_EQ(escape_markup("μ ± σ"), "μ ± σ");
}

TEST(Markup, TheCheckOfTheseTestsCanFail) {
    EXPECT_EQ(fault_in_markup("<a><b/>&amp;</a>"), "");
    for (const char* bad : {"<a>", "</a>", "<a></b></a>", "a & b", "a < b"})
        EXPECT_NE(fault_in_markup(bad), "");
}

TEST(Figures, AllAreThere) {
    std::set<std::string> names;
    for (const Figure& figure : study_figures(sample_study())) names.insert(figure.name);
    EXPECT_EQ(names, (std::set<std::string>{"test-error", "train-loss", "test-accuracy", "mean-noise",
                                            "variance-noise", "evaluation-gap", "drift", "step-time",
                                            "prediction"}));
}

TEST(Figures, WithoutDataAreLeftOut) {
    Study study = sample_study();
    study.prediction.reset();
    for (Combination& one : study.combinations) one.noise.clear();
    for (const Figure& figure : study_figures(study)) {
        EXPECT_NE(figure.name, "prediction");
        EXPECT_NE(figure.name, "mean-noise");
    }
    for (Combination& one : study.combinations) one.outcome = Outcome::failed;
    EXPECT_TRUE(study_figures(study).empty());
}

TEST(Figures, AreWellFormedWithFiniteCoordinates) {
    for (const Figure& figure : study_figures(sample_study())) {
        const std::string svg = to_svg(figure);
        EXPECT_EQ(fault_in_markup(svg), "") << figure.name;
        EXPECT_EQ(svg.find("nan"), std::string::npos) << figure.name;
        EXPECT_EQ(svg.find("–,"), std::string::npos) << figure.name << ": a coordinate is not finite";
        EXPECT_EQ(svg.find(",–"), std::string::npos) << figure.name << ": a coordinate is not finite";
        EXPECT_NE(svg.find("<title>"), std::string::npos) << figure.name << " shows no values on hover";
        EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos) << figure.name;
    }
}

TEST(Figures, SurviveOddData) {
    Study study = sample_study();
    study.batch_sizes = {2};
    study.seeds = {1};
    study.combinations = {test::sample_combination("local", 2, 1, 0)};
    study.combinations[0].losses[0].loss = not_measured;
    study.combinations[0].losses[1].loss = -1;  // has no place on a logarithmic axis
    for (const Figure& figure : study_figures(study)) EXPECT_EQ(fault_in_markup(to_svg(figure)), "");
}

TEST(Page, IsWellFormedAndHoldsEveryFigure) {
    const Study study = sample_study();
    const auto figures = study_figures(study);
    const std::string page = html_report(study, figures);
    EXPECT_EQ(fault_in_markup(page), "");
    for (const Figure& figure : figures)
        EXPECT_NE(page.find("<figure id=\"" + figure.name + "\""), std::string::npos) << figure.name;
}

TEST(Page, NeedsNothingFromElsewhere) {
    const Study study = sample_study();
    std::string page = html_report(study, study_figures(study));
    // The names of XML's vocabularies look like addresses and are none.
    page = std::regex_replace(page, std::regex("xmlns=\"[^\"]*\""), "");
    for (const char* reference : {"http:", "https:", "src=", "href=", "url(", "@import", "//cdn"})
        EXPECT_EQ(page.find(reference), std::string::npos) << reference;
}

TEST(Page, WordsFromOutsideCannotBecomeMarkup) {
    Study study = sample_study();
    study.settings[0].second = "<script>alert(1)</script>";
    study.machine = "a & b <i>";
    study.combinations[0].outcome = Outcome::failed;
    study.combinations[0].reason = "x < y & \"z\"";
    study.layers[0] = "<b>";
    const std::string page = html_report(study, study_figures(study));
    EXPECT_EQ(fault_in_markup(page), "");
    EXPECT_EQ(page.find("<script>alert"), std::string::npos);
    EXPECT_NE(page.find("x &lt; y &amp; &quot;z&quot;"), std::string::npos);
}

TEST(Page, StatesTheFormulasOfThePrediction) {
    const Study study = sample_study();
    const std::string page = html_report(study, study_figures(study));
    for (const char* formula : {"Σ (m − 1)·(α + n/B)", "2·(P − 1)·(α + n/(P·B))", "(1 + 1/k)·G/B′",
                                "step(sync)", "16 ranks a node"})
        EXPECT_NE(page.find(formula), std::string::npos) << formula;
}

}  // namespace
}  // namespace lockstep
