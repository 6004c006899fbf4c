//! Every way to run a shape.

use wgnorm::{Device, DeviceClass, Error, PlanOptions, Strategy, functional};

use crate::case::Case;

pub(crate) const CLASSES: [DeviceClass; 2] = [DeviceClass::Gpu, DeviceClass::Cpu];
const STRATEGIES: [Strategy; 3] = [
    Strategy::SplitRows,
    Strategy::SplitColumns,
    Strategy::Resident,
];

/// What the planner is left to choose for each class of device.
pub(crate) fn chosen() -> [PlanOptions; 2] {
    CLASSES.map(|class| PlanOptions {
        strategy: None,
        class: Some(class),
    })
}

/// Both classes of device with each strategy that applies to the case.
pub(crate) fn forced(device: &Device, case: &Case) -> Vec<PlanOptions> {
    let all = CLASSES.into_iter().flat_map(|class| {
        STRATEGIES.map(|strategy| PlanOptions {
            strategy: Some(strategy),
            class: Some(class),
        })
    });
    all.filter(|&plan| applies(device, &case.clone().planned(plan)))
        .collect()
}

/// Both classes of device, with the planner's choice and with each strategy that applies.
pub(crate) fn all(device: &Device, case: &Case) -> Vec<PlanOptions> {
    let mut plans = chosen().to_vec();
    plans.extend(forced(device, case));
    plans
}

/// Whether the strategy that the case forces applies to its shape.
pub(crate) fn applies(device: &Device, case: &Case) -> bool {
    let forward = functional::Operation::Forward;
    match functional::cost(device, &case.shape, case.dtype, &case.options, forward) {
        Ok(_) => true,
        Err(Error::Strategy { .. }) => false,
        Err(error) => panic!("{case:?}: {error}"),
    }
}
