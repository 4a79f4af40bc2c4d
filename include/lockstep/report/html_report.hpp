/// The report of a study as one self-contained page: no network, no script but our own few lines.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/report/plot.hpp>
#include <lockstep/report/study.hpp>

#include <span>
#include <string>

namespace lockstep {

/// The page is HTML and well-formed XML at once. Light or dark as the reader prefers; printing is light.
/// Without JavaScript everything is there; with it, values show at once on hover.
LOCKSTEP_EXPORT std::string html_report(const Study& study, std::span<const Figure> figures);

}  // namespace lockstep
