// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

/// @title A token that anybody mints and that can refuse accounts; for tests alone
contract MoodyToken is ERC20 {
    mapping(address => bool) public failing;

    constructor() ERC20("Moody", "MOOD") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function fail(address account, bool on) external {
        failing[account] = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(!failing[from] && !failing[to], "refused");
        super._update(from, to, amount);
    }
}

/// @title A token that anybody mints and that takes signatures (ERC-2612, ERC-3009); for tests alone
contract SignedToken is ERC20Permit, ERC3009 {
    constructor() ERC20("Signed money", "SIGN") ERC20Permit("Signed money") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @title A token without permits and authorizations that takes any call for a payment, as wrapped coins do; for tests
/// alone
contract WrappedToken is ERC20 {
    constructor() ERC20("Wrapped coins", "WRAP") {}

    receive() external payable {}

    fallback() external payable {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @title Code that an account delegates to and that knows no ERC-1271; for tests alone
contract Delegate {
    function ping() external pure returns (uint256) {
        return 1;
    }
}

/// @dev Uses up all the gas it is given, at once.
function _burn() pure {
    assembly {
        invalid()
    }
}

/// @title A token that misbehaves towards whoever receives; for tests alone
/// @notice `mode` 1: takes a fee; 2: returns false and moves nothing; 3: returns nothing; 4: reverts; 5: reenters the
/// caller with `attack`; 6: returns 100,000 bytes; 7: burns all its gas; 8: returns 2. Other modes behave.
contract HostileToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    uint256 public mode;
    bytes public attack;
    bool public entered;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function set(uint256 mode_, bytes calldata attack_) external {
        mode = mode_;
        attack = attack_;
        entered = false;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        return _move(from, to, amount);
    }

    /// @notice Like a token that takes any authorization: it moves as any transfer does.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) external {
        require(_move(from, to, amount));
    }

    /// @notice Like a token that takes any permit.
    function permit(address owner, address spender, uint256 amount, uint256, uint8, bytes32, bytes32) external {
        require(mode != 4);
        if (mode == 5) {
            (bool ok,) = msg.sender.call(attack);
            entered = entered || ok;
        }
        allowance[owner][spender] = amount;
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        uint256 how = mode;
        if (how == 2) return false;
        require(how != 4);
        if (how == 5) {
            (bool ok,) = msg.sender.call(attack);
            entered = entered || ok;
        }
        if (how == 7) _burn();
        balanceOf[from] -= amount;
        balanceOf[to] += how == 1 ? amount - 1 : amount;
        if (how == 3) {
            assembly {
                return(0, 0)
            }
        }
        if (how == 6) {
            assembly {
                mstore(0, 1)
                return(0, 100000)
            }
        }
        if (how == 8) {
            assembly {
                mstore(0, 2)
                return(0, 32)
            }
        }
        return true;
    }
}

/// @title A contract account that signs by holding a digest (ERC-1271); for tests alone
contract Wallet {
    mapping(bytes32 => bool) public signed;
    uint256 public mode; // 1: burns its gas; 2: reverts

    function sign(bytes32 digest) external {
        signed[digest] = true;
    }

    function set(uint256 mode_) external {
        mode = mode_;
    }

    /// @notice Makes the wallet call anything, as its owner would.
    function act(address target, bytes calldata data) external returns (bytes memory) {
        (bool ok, bytes memory answer) = target.call(data);
        require(ok);
        return answer;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        uint256 how = mode;
        if (how == 1) _burn();
        require(how != 2);
        return signed[digest] ? this.isValidSignature.selector : bytes4(0);
    }
}
